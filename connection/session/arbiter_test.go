package session

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

var (
	ownerA = entity.AuthName{Type: entity.TypeOSD, ID: "a"}
	ownerB = entity.AuthName{Type: entity.TypeOSD, ID: "b"}
)

// rule is one line of the decision table: the first that applies decides. It is
// written from docs/PROTOCOL.md 3.5, apart from the code.
type rule struct {
	name string
	when func(in Incoming, ex Existing, smaller bool) bool
	then func(in Incoming, ex Existing) Verdict
}

func verdict(a Action) func(Incoming, Existing) Verdict {
	return func(Incoming, Existing) Verdict { return Verdict{Action: a} }
}

func connectingState(st State) bool {
	switch st {
	case StateConnecting, StateBannerConnecting, StateHelloConnecting, StateAuthConnecting,
		StateAuthConnectingSign, StateCompressionConnecting, StateSessionConnecting, StateSessionReconnecting:
		return true
	}
	return false
}

func notTheOwner(in Incoming, ex Existing, _ bool) bool {
	if ex.PeerType != entity.TypeAny && in.PeerType != ex.PeerType {
		return true
	}
	return ex.Auth != entity.AuthName{} && ex.Auth != in.Auth
}

func refuse(err error, probe bool) func(Incoming, Existing) Verdict {
	return func(Incoming, Existing) Verdict { return Verdict{Action: ActRefuse, Err: err, Probe: probe} }
}

var identRules = []rule{
	{"5a closed", func(_ Incoming, ex Existing, _ bool) bool { return ex.State == StateClosed }, verdict(ActAccept)},
	{"owner", notTheOwner, refuse(ErrNotOwner, false)},
	{"5c stale", func(in Incoming, ex Existing, _ bool) bool {
		if in.GlobalSeq >= ex.PeerGlobalSeq {
			return false
		}
		restartedAndWeCanOnlyWait := ex.State == StateStandby && ex.Undialable &&
			(in.ClientCookie == 0 || in.ClientCookie != ex.ClientCookie)
		return !restartedAndWeCanOnlyWait
	}, refuse(ErrStale, true)},
	{"5d lossy", func(_ Incoming, ex Existing, _ bool) bool {
		restsWithoutASession := ex.State == StateStandby && ex.ServerCookie == 0
		return ex.Lossy && !connectingState(ex.State) && ex.State != StateBackoff && ex.State != StateWait &&
			!restsWithoutASession
	}, verdict(ActStopAccept)},
	{"5e restarted", func(in Incoming, ex Existing, _ bool) bool {
		return ex.ServerCookie != 0 && (in.ClientCookie == 0 || in.ClientCookie != ex.ClientCookie)
	}, func(in Incoming, ex Existing) Verdict {
		return Verdict{Action: ActReplace,
			Reset: ex.ResetCheck && (in.ClientCookie != ex.Crossed || in.ClientCookie == 0)}
	}},
	{"5f interrupted", func(in Incoming, ex Existing, _ bool) bool {
		return in.ClientCookie != 0 && in.ClientCookie == ex.ClientCookie
	}, verdict(ActReplace)},
	{"5h race lost", func(_ Incoming, ex Existing, smaller bool) bool {
		return connectingState(ex.State) && !smaller && !ex.Server
	}, verdict(ActWait)},
	{"5h race won", func(_ Incoming, ex Existing, _ bool) bool { return connectingState(ex.State) },
		verdict(ActReplace)},
	{"5g idle", func(Incoming, Existing, bool) bool { return true }, verdict(ActReplace)},
}

var reconnectRules = []rule{
	{"a closed", func(_ Incoming, ex Existing, _ bool) bool { return ex.State == StateClosed },
		func(Incoming, Existing) Verdict { return Verdict{Action: ActSendReset, Full: true} }},
	{"owner", notTheOwner, refuse(ErrNotOwner, false)},
	{"c client cookie", func(in Incoming, ex Existing, _ bool) bool { return in.ClientCookie != ex.ClientCookie },
		func(in Incoming, ex Existing) Verdict {
			crossed := ex.Crossed == in.ClientCookie && in.ClientCookie != 0
			return Verdict{Action: ActSendReset, Full: ex.ResetCheck && !crossed}
		}},
	{"d no session", func(_ Incoming, ex Existing, _ bool) bool { return ex.ServerCookie == 0 }, verdict(ActSendReset)},
	{"server cookie", func(in Incoming, ex Existing, _ bool) bool { return in.ServerCookie != ex.ServerCookie },
		verdict(ActSendReset)},
	{"e global_seq", func(in Incoming, ex Existing, _ bool) bool { return in.GlobalSeq < ex.PeerGlobalSeq },
		func(_ Incoming, ex Existing) Verdict {
			return Verdict{Action: ActSendRetryGlobal, Seq: ex.PeerGlobalSeq}
		}},
	{"g race lost", func(in Incoming, ex Existing, smaller bool) bool {
		return connectingState(ex.State) && !ex.Server && !smaller && in.ConnectSeq <= ex.ConnectSeq
	}, verdict(ActWait)},
	{"f connect_seq", func(in Incoming, ex Existing, _ bool) bool { return in.ConnectSeq < ex.ConnectSeq },
		func(_ Incoming, ex Existing) Verdict { return Verdict{Action: ActSendRetry, Seq: ex.ConnectSeq} }},
	{"f abandoned", func(in Incoming, ex Existing, _ bool) bool {
		return in.ConnectSeq == ex.ConnectSeq && ex.State == StateReady
	}, func(_ Incoming, ex Existing) Verdict { return Verdict{Action: ActSendRetry, Seq: ex.ConnectSeq} }},
	{"msg_seq",
		func(in Incoming, ex Existing, _ bool) bool { return in.MsgSeq > ex.SentSeq || in.MsgSeq < ex.AckedSeq },
		func(Incoming, Existing) Verdict { return Verdict{Action: ActSendReset, Full: true} }},
	{"h resume", func(Incoming, Existing, bool) bool { return true }, verdict(ActReplace)},
}

func oracle(rules []rule, in Incoming, ex Existing, smaller bool) (Verdict, string) {
	for _, r := range rules {
		if r.when(in, ex, smaller) {
			return r.then(in, ex), r.name
		}
	}
	panic("no rule")
}

func sameVerdict(got, want Verdict) bool {
	if (got.Err == nil) != (want.Err == nil) || got.Err != nil && !errors.Is(got.Err, want.Err) {
		return false
	}
	got.Err, want.Err = nil, nil
	return got == want
}

// eachExisting calls f with all combinations of the fields that matter.
func eachExisting(f func(ex Existing)) {
	bools := []bool{false, true}
	for _, st := range States() {
		for flags := range 32 {
			for _, cc := range []uint64{0, 5} {
				for _, sc := range []uint64{0, 7} {
					f(Existing{
						State: st, Lossy: bools[flags&1], Server: bools[flags>>1&1], ResetCheck: bools[flags>>2&1],
						Undialable: bools[flags>>3&1], Crossed: 6 * uint64(flags>>4&1),
						PeerType: entity.TypeOSD, PeerGlobalSeq: 2, ConnectSeq: 2,
						ClientCookie: cc, ServerCookie: sc, SentSeq: 8, AckedSeq: 4,
					})
				}
			}
		}
	}
}

// owners are who comes and who has the address.
var owners = []struct{ in, ex entity.AuthName }{
	{ownerA, ownerA}, {ownerA, entity.AuthName{}}, {ownerB, ownerA}, {entity.AuthName{}, ownerA},
}

var types = []entity.Type{entity.TypeOSD, entity.TypeMDS, entity.TypeAny}

// TestArbiterTable compares Arbitrate with the rules for every combination.
func TestArbiterTable(t *testing.T) {
	fired := map[string]int{}
	n := 0
	check := func(rules []rule, in Incoming, ex Existing) {
		owners, types := owners, types
		if !long && (slow > 1 && in.Reconnect && ex.Server || in.MsgSeq != 4 && in.Reconnect || ex.Undialable) {
			owners, types = owners[:1], types[:1]
		}
		for _, o := range owners {
			in.Auth, ex.Auth = o.in, o.ex
			for _, typ := range types {
				ex.PeerType = typ
				for _, smaller := range []bool{false, true} {
					want, name := oracle(rules, in, ex, smaller)
					got := Arbitrate(in, &ex, smaller)
					if !sameVerdict(got, want) {
						t.Fatalf("%+v against %+v, smaller %t: %s, by rule %q %s", in, ex, smaller, got, name, want)
					}
					fired[name]++
					n++
				}
			}
		}
	}
	eachExisting(func(ex Existing) {
		for _, gs := range []uint64{1, 2, 3} {
			for _, cc := range []uint64{0, 5, 6} {
				check(identRules, Incoming{PeerType: entity.TypeOSD, GlobalSeq: gs, ClientCookie: cc}, ex)
				if ex.Lossy && !long {
					continue // reconnect rules do not look at it
				}
				for _, sc := range []uint64{0, 7, 8} {
					for _, cs := range []uint64{1, 2, 3} {
						for _, ms := range []uint64{3, 4, 8, 9} {
							check(reconnectRules, Incoming{Reconnect: true, PeerType: entity.TypeOSD, GlobalSeq: gs,
								ClientCookie: cc, ServerCookie: sc, ConnectSeq: cs, MsgSeq: ms}, ex)
						}
					}
				}
			}
		}
	})
	for _, r := range append(append([]rule(nil), identRules...), reconnectRules...) {
		require.Positive(t, fired[r.name], "rule %q never applied", r.name)
	}
	t.Logf("%d combinations", n)
}

// TestArbiterRules has an example for each rule, by its letter in the spec.
func TestArbiterRules(t *testing.T) {
	ex := Existing{State: StateReady, PeerType: entity.TypeOSD, PeerGlobalSeq: 10, ConnectSeq: 3, ClientCookie: 5,
		ServerCookie: 7, SentSeq: 8, AckedSeq: 4}
	ident := Incoming{PeerType: entity.TypeOSD, GlobalSeq: 11, ClientCookie: 5}
	reconnect := Incoming{Reconnect: true, PeerType: entity.TypeOSD, GlobalSeq: 11, ClientCookie: 5, ServerCookie: 7,
		ConnectSeq: 4, MsgSeq: 6}
	type x = Existing
	for _, tc := range []struct {
		name    string
		in      Incoming
		change  func(in *Incoming, ex *Existing)
		smaller bool
		want    Verdict
	}{
		{"IDENT_4_nobody", ident, nil, false, Verdict{Action: ActAccept}},
		{"IDENT_5a_closed", ident, func(_ *Incoming, ex *x) { ex.State = StateClosed },
			false, Verdict{Action: ActAccept}},
		{"IDENT_5c_stale", ident, func(in *Incoming, _ *x) { in.GlobalSeq = 9; in.ClientCookie = 6 },
			false, Verdict{Action: ActRefuse, Err: ErrStale, Probe: true}},
		{"IDENT_5c_stale_same_cookie_standby", ident, func(in *Incoming, ex *x) {
			in.GlobalSeq = 9
			ex.State, ex.Undialable = StateStandby, true
		}, false, Verdict{Action: ActRefuse, Err: ErrStale, Probe: true}},
		{"IDENT_5c_restarted_with_nonce_0", ident, func(in *Incoming, ex *x) {
			in.GlobalSeq, in.ClientCookie = 1, 6
			ex.State, ex.Undialable, ex.ResetCheck = StateStandby, true, true
		}, false, Verdict{Action: ActReplace, Reset: true}},
		{"IDENT_5d_lossy", ident, func(_ *Incoming, ex *x) { ex.Lossy, ex.ClientCookie, ex.ServerCookie = true, 0, 0 },
			false, Verdict{Action: ActStopAccept}},
		{"IDENT_5e_restarted_resetcheck", ident, func(in *Incoming, ex *x) {
			in.ClientCookie = 6
			ex.ResetCheck = true
		}, false, Verdict{Action: ActReplace, Reset: true}},
		{"IDENT_5e_restarted", ident, func(in *Incoming, _ *x) { in.ClientCookie = 6 },
			false, Verdict{Action: ActReplace}},
		{"IDENT_5e_crossed", ident, func(in *Incoming, ex *x) {
			in.ClientCookie = 6
			ex.ResetCheck, ex.Crossed = true, 6
		}, false, Verdict{Action: ActReplace}},
		{"IDENT_5f_interrupted", ident, nil, false, Verdict{Action: ActReplace}},
		{"IDENT_5g_standby", ident, func(in *Incoming, ex *x) {
			ex.State, ex.ServerCookie = StateStandby, 0
			in.ClientCookie = 6
		}, false, Verdict{Action: ActReplace}},
		{"IDENT_5h_ours_wins", ident, func(in *Incoming, ex *x) {
			ex.State, ex.ServerCookie = StateAuthConnecting, 0
			in.ClientCookie = 6
		}, false, Verdict{Action: ActWait}},
		{"IDENT_5h_theirs_wins", ident, func(in *Incoming, ex *x) {
			ex.State, ex.ServerCookie = StateAuthConnecting, 0
			in.ClientCookie = 6
		}, true, Verdict{Action: ActReplace}},
		{"IDENT_5h_we_only_wait_to_try", ident, func(in *Incoming, ex *x) {
			ex.State, ex.ServerCookie = StateBackoff, 0
			in.ClientCookie = 6
		}, false, Verdict{Action: ActReplace}},
		{"IDENT_5h_server", ident, func(in *Incoming, ex *x) {
			ex.State, ex.ServerCookie, ex.Server = StateAuthConnecting, 0, true
			in.ClientCookie = 6
		}, false, Verdict{Action: ActReplace}},
		{"IDENT_other_owner", ident, func(in *Incoming, ex *x) { in.Auth, ex.Auth = ownerB, ownerA },
			false, Verdict{Action: ActRefuse, Err: ErrNotOwner}},
		{"IDENT_other_type", ident, func(in *Incoming, _ *x) { in.PeerType = entity.TypeMDS },
			false, Verdict{Action: ActRefuse, Err: ErrNotOwner}},
		{"IDENT_type_not_known_yet", ident, func(_ *Incoming, ex *x) { ex.PeerType = entity.TypeAny },
			false, Verdict{Action: ActReplace}},

		{"RECONNECT_a_nobody", reconnect, nil, false, Verdict{Action: ActSendReset, Full: true}},
		{"RECONNECT_c_cookie_resetcheck", reconnect, func(in *Incoming, ex *x) {
			in.ClientCookie = 6
			ex.ResetCheck = true
		}, false, Verdict{Action: ActSendReset, Full: true}},
		{"RECONNECT_c_cookie", reconnect, func(in *Incoming, _ *x) { in.ClientCookie = 6 },
			false, Verdict{Action: ActSendReset}},
		{"RECONNECT_c_crossed", reconnect, func(in *Incoming, ex *x) {
			in.ClientCookie = 6
			ex.ResetCheck, ex.Crossed = true, 6
		}, false, Verdict{Action: ActSendReset}},
		{"RECONNECT_d_no_session", reconnect, func(_ *Incoming, ex *x) { ex.ServerCookie = 0; ex.ResetCheck = true },
			false, Verdict{Action: ActSendReset}},
		{"RECONNECT_server_cookie", reconnect, func(in *Incoming, ex *x) { in.ServerCookie = 8; ex.ResetCheck = true },
			false, Verdict{Action: ActSendReset}},
		{"RECONNECT_e_global_seq", reconnect, func(in *Incoming, _ *x) { in.GlobalSeq = 9 },
			false, Verdict{Action: ActSendRetryGlobal, Seq: 10}},
		{"RECONNECT_f_connect_seq", reconnect, func(in *Incoming, _ *x) { in.ConnectSeq = 2 },
			false, Verdict{Action: ActSendRetry, Seq: 3}},
		{"RECONNECT_f_abandoned", reconnect, func(in *Incoming, _ *x) { in.ConnectSeq = 3 },
			true, Verdict{Action: ActSendRetry, Seq: 3}},
		{"RECONNECT_g_ours_wins", reconnect, func(in *Incoming, ex *x) {
			in.ConnectSeq, ex.State = 3, StateSessionReconnecting
		}, false, Verdict{Action: ActWait}},
		{"RECONNECT_g_ours_wins_and_is_ahead", reconnect, func(in *Incoming, ex *x) {
			in.ConnectSeq, ex.State = 2, StateSessionReconnecting
		}, false, Verdict{Action: ActWait}},
		{"RECONNECT_g_theirs_wins", reconnect, func(in *Incoming, ex *x) {
			in.ConnectSeq, ex.State = 3, StateSessionReconnecting
		}, true, Verdict{Action: ActReplace}},
		{"RECONNECT_g_theirs_is_ahead", reconnect, func(_ *Incoming, ex *x) { ex.State = StateSessionReconnecting },
			false, Verdict{Action: ActReplace}},
		{"RECONNECT_h_resume", reconnect, nil, false, Verdict{Action: ActReplace}},
		{"RECONNECT_msg_seq_never_sent", reconnect, func(in *Incoming, _ *x) { in.MsgSeq = 9 },
			false, Verdict{Action: ActSendReset, Full: true}},
		{"RECONNECT_msg_seq_backwards", reconnect, func(in *Incoming, _ *x) { in.MsgSeq = 3 },
			false, Verdict{Action: ActSendReset, Full: true}},
		{"RECONNECT_other_owner", reconnect, func(in *Incoming, ex *x) { in.Auth, ex.Auth = ownerB, ownerA },
			false, Verdict{Action: ActRefuse, Err: ErrNotOwner}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, e := tc.in, ex
			p := &e
			if tc.change != nil {
				tc.change(&in, &e)
			} else if tc.name == "IDENT_4_nobody" || tc.name == "RECONNECT_a_nobody" {
				p = nil
			}
			got := Arbitrate(in, p, tc.smaller)
			require.True(t, sameVerdict(got, tc.want), "%s, want %s", got, tc.want)
			require.NotEmpty(t, got.String())
		})
	}
}
