package dispatch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// plain is a dispatcher to embed.
type plain struct{}

func (plain) Dispatch(*msg.Message) bool { return true }

// Methods that are not what they are named after.
type (
	noResult       struct{ plain }
	swapped        struct{ plain }
	moreResults    struct{ plain }
	otherResult    struct{ plain }
	variadic       struct{ plain }
	noArguments    struct{ plain }
	anyError       struct{ plain }
	valueMessage   struct{ plain }
	withReason     struct{ plain }
	saysSo         struct{ plain }
	noError        struct{ plain }
	noConn         struct{ plain }
	onlyCan        struct{ plain }
	onlyFast       struct{ plain }
	embeds         struct{ *noResult }
	embedsDeep     struct{ embeds }
	pointer        struct{ plain }
	otherInterface struct {
		plain
		accepter
	}
	accepter interface{ HandleAccept() }
)

func (noResult) HandleReset(msg.Connection, error)                {}
func (swapped) HandleRefused(error, msg.Connection) bool          { return false }
func (moreResults) HandleConnect(msg.Connection) (int, error)     { return 0, nil }
func (otherResult) CanFastDispatch(*msg.Message) error            { return nil }
func (otherResult) FastDispatch(*msg.Message)                     {}
func (variadic) HandleFastConnect(...msg.Connection)              {}
func (noArguments) HandleRemoteReset()                            {}
func (anyError) HandleConnectFailed(msg.Connection, error)        {}
func (withReason) HandleFastReset(msg.Connection, error)          {}
func (saysSo) HandleFastRemoteReset(msg.Connection) bool          { return true }
func (noError) HandleFault(msg.Connection)                        {}
func (noConn) HandleFastFault(error)                              {}
func (valueMessage) FastPreprocess(msg.Message)                   {}
func (onlyCan) CanFastDispatch(*msg.Message) bool                 { return true }
func (onlyFast) FastDispatch(*msg.Message)                        {}
func (*pointer) HandleUndeliverable(msg.Connection, *msg.Message) {}

// A handler that would silently never be called is refused, and the panic says what is
// wrong with it.
func TestAddRefusesMisfits(t *testing.T) {
	const never = ", which would never be called: "
	for want, d := range map[string]msg.Dispatcher{
		"dispatch.noResult has the method HandleReset(msg.Connection, error)" + never +
			"that of a msg.ResetHandler is HandleReset(msg.Connection, error) bool": noResult{},
		"dispatch.swapped has the method HandleRefused(error, msg.Connection) bool" + never +
			"that of a msg.RefusedHandler is HandleRefused(msg.Connection, error) bool": swapped{},
		"dispatch.moreResults has the method HandleConnect(msg.Connection) (int, error)" + never +
			"that of a msg.ConnectHandler is HandleConnect(msg.Connection)": moreResults{},
		"dispatch.otherResult has the method CanFastDispatch(*msg.Message) error" + never +
			"that of a msg.FastDispatcher is CanFastDispatch(*msg.Message) bool": otherResult{},
		"dispatch.variadic has the method HandleFastConnect(...msg.Connection)" + never +
			"that of a msg.FastConnectHandler is HandleFastConnect(msg.Connection)": variadic{},
		"*dispatch.noArguments has the method HandleRemoteReset()" + never +
			"that of a msg.RemoteResetHandler is HandleRemoteReset(msg.Connection)": &noArguments{},
		"dispatch.anyError has the method HandleConnectFailed(msg.Connection, error)" + never +
			"that of a msg.ConnectFailedHandler is HandleConnectFailed(msg.Connection, *msg.ConnectError)": anyError{},
		"dispatch.withReason has the method HandleFastReset(msg.Connection, error)" + never +
			"that of a msg.FastResetHandler is HandleFastReset(msg.Connection)": withReason{},
		"dispatch.saysSo has the method HandleFastRemoteReset(msg.Connection) bool" + never +
			"that of a msg.FastRemoteResetHandler is HandleFastRemoteReset(msg.Connection)": saysSo{},
		"dispatch.noError has the method HandleFault(msg.Connection)" + never +
			"that of a msg.FaultHandler is HandleFault(msg.Connection, error)": noError{},
		"dispatch.noConn has the method HandleFastFault(error)" + never +
			"that of a msg.FastFaultHandler is HandleFastFault(msg.Connection, error)": noConn{},
		"dispatch.valueMessage has the method FastPreprocess(msg.Message)" + never +
			"that of a msg.FastPreprocessor is FastPreprocess(*msg.Message)": valueMessage{},
		"dispatch.onlyCan has the method CanFastDispatch(*msg.Message) bool" + never +
			"a msg.FastDispatcher has FastDispatch(*msg.Message) too": onlyCan{},
		"*dispatch.onlyFast has the method FastDispatch(*msg.Message)" + never +
			"a msg.FastDispatcher has CanFastDispatch(*msg.Message) bool too": &onlyFast{},
		"dispatch.embedsDeep has the method HandleReset(msg.Connection, error)" + never +
			"that of a msg.ResetHandler is HandleReset(msg.Connection, error) bool": embedsDeep{embeds{new(noResult)}},
		"*dispatch.pointer has the method HandleUndeliverable(msg.Connection, *msg.Message)" + never +
			"that of a msg.UndeliverableHandler is " +
			"HandleUndeliverable(msg.Connection, *msg.Message, error)": &pointer{},
		"dispatch.otherInterface has the method HandleAccept()" + never +
			"that of a msg.AcceptHandler is HandleAccept(msg.Connection)": otherInterface{},
	} {
		c := NewChain(ChainConfig{})
		require.PanicsWithValue(t, "dispatch: "+want, func() { c.AddTail(d) })
		require.PanicsWithValue(t, "dispatch: "+want, func() { c.AddHead(d) })
		require.Zero(t, c.Stats().Dispatchers)
		c.AddTail(plain{}) // the lock is free
	}
}

func TestSameArguments(t *testing.T) {
	require.False(t, sameArguments(reflect.TypeFor[func(plain, ...int)](), reflect.TypeFor[func(plain, []int)]()))
	require.True(t, sameArguments(reflect.TypeFor[func(plain, []int)](), reflect.TypeFor[func(one, []int)]()))
}

// Ambiguous methods are not promoted.
type (
	both     struct{ handles }
	handles  struct{ plain }
	handles2 struct{ plain }
	neither  struct {
		handles
		handles2
		one
	}
	one      struct{}
	shadowed struct {
		noResult
		handles
	}
	fits struct{ noResult }
)

func (handles) HandleReset(msg.Connection, error) bool  { return true }
func (handles2) HandleReset(msg.Connection, error) bool { return true }
func (neither) Dispatch(*msg.Message) bool              { return true }
func (shadowed) Dispatch(*msg.Message) bool             { return true }
func (fits) HandleReset(msg.Connection, error) bool     { return true }
func (one) HandleResets()                               {}
func (one) handleReset()                                {}

// What has the right methods, none, or others is taken.
func TestAddTakesWhatFits(t *testing.T) {
	one{}.handleReset()
	c := NewChain(ChainConfig{})
	for i, d := range []msg.Dispatcher{
		plain{}, new(plain), dispatcherFunc(func(*msg.Message) bool { return true }), &full{}, fastOnly{},
		both{}, &both{}, handles2{}, neither{handles{}, handles2{}, one{}}, shadowed{noResult{}, handles{}},
		fits{}, &fits{}, pointer{},
	} {
		c.AddTail(d)
		require.Equal(t, i+1, c.Stats().Dispatchers)
	}
}

// The methods that are looked at are those of all interfaces of the contract.
func TestAddLooksAtAllInterfaces(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../async/msg/dispatcher.go", nil, 0)
	require.NoError(t, err)
	contract := map[string]string{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.Name != "Dispatcher" {
				for _, m := range ts.Type.(*ast.InterfaceType).Methods.List {
					contract[m.Names[0].Name] = "msg." + ts.Name.Name
				}
			}
		}
	}
	looked := map[string]string{}
	for _, o := range optionals(reflect.TypeOf(&full{})) {
		require.True(t, o.has, "the test's dispatcher has all: %v", o.want)
		require.True(t, sameArguments(o.is.Type, o.want), "%v", o.want)
		looked[o.is.Name] = o.want.In(0).String()
	}
	require.Len(t, contract, 18)
	require.Equal(t, contract, looked)
}
