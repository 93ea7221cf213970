package msg

// Dispatcher receives messages. A messenger has an ordered chain of them
// (AddDispatcherHead, AddDispatcherTail); the first whose Dispatch returns true
// has handled the message. A message that nobody handles is counted and logged.
//
// Dispatch runs on a goroutine of the pool, or, while callbacks are short, on the one of
// the worker that has received the message (Config.DispatchPlace), never two at a time for
// one Connection. The other methods a dispatcher may have are the small interfaces
// below; AddDispatcher panics at a method with one of their names and another
// signature.
//
// # What is held up by what
//
// Dispatch may block, wherever it runs. Meanwhile no other callback of that connection runs, and its
// further messages wait in the queue. When they are as many as one connection may have there
// (Policy.ConnThrottleMessages, ConnThrottleBytes) it is not read from, for fast dispatch
// neither; when a throttle that several share is full (Config.DispatchThrottleBytes,
// Policy.ThrottleMessages), none of those is. As many callbacks as Config.DispatchWidth run at
// a time; one that takes longer than Config.DispatchLimit (1 s) is logged with its stack, and
// another may run in its place, up to Config.DispatchWidthMax. Methods that say "on the worker" hold up
// all connections of that worker, and must not block at all.
//
// So a Dispatch must not wait for what can only come through itself. Two cases:
//
// A request within a request: if Dispatch asks the peer that sent m something over the
// same connection, and waits for the answer, it waits for itself, since the answer is
// queued behind it. Let the answer's Dispatch go on with the work instead, or handle
// answers by fast dispatch, or hand the work to a goroutine and return.
//
// Two peers that answer each other with SendContext or Flush in Dispatch: when both send
// queues are full, neither Dispatch returns, so neither side takes messages, so neither
// queue becomes shorter, until ctx ends. Give ctx a deadline, and make the queue
// (Config.SendQueueMessages, SendQueueBytes) larger than what the peer may have under
// way towards us; or use Send, and treat ErrQueueFull as "too much at a time".
//
// # What fails
//
// No method of a dispatcher runs concurrently with another one for the same
// Connection, fast dispatch excepted. A panic is caught, counted and reported;
// the connection it happened for is closed as by a fault unless configured
// otherwise. The end of the goroutine by runtime.Goexit (t.FailNow, and with it
// testify's require) is counted and reported too, and the connection left alone.
type Dispatcher interface {
	Dispatch(m *Message) bool
}

// FastDispatcher takes messages on the connection's worker, right after they
// were decoded, past the queue. Both methods must not block: they delay every
// connection of the worker. Fast dispatched messages are not ordered against
// queued ones.
type FastDispatcher interface {
	CanFastDispatch(m *Message) bool
	FastDispatch(m *Message)
}

// FastPreprocessor sees every incoming message on the worker before it is fast
// dispatched or queued. It must not block nor keep the message.
type FastPreprocessor interface{ FastPreprocess(m *Message) }

// ConnectHandler is told, by the pool, each time a session that this side
// initiated becomes ready, reconnects included; before its first message.
type ConnectHandler interface{ HandleConnect(c Connection) }

// AcceptHandler is told, by the pool, each time a session that the peer
// initiated becomes ready, reconnects included; before its first message.
type AcceptHandler interface{ HandleAccept(c Connection) }

// FastConnectHandler is HandleConnect on the worker; it must not block.
type FastConnectHandler interface{ HandleFastConnect(c Connection) }

// FastAcceptHandler is HandleAccept on the worker; it must not block.
type FastAcceptHandler interface{ HandleFastAccept(c Connection) }

// FaultHandler is told, by the pool, each time the transport of a session that was ready is
// lost, for whatever reason, and the session goes on: of a lossless one (of a lossy one
// ResetHandler is told instead). err is the cause, as in LastError. What was under way is kept,
// and sent when there is a transport again, of which HandleConnect or HandleAccept is told, or
// the session ends with HandleReset. Attempts to connect that fail meanwhile are
// ConnectFailedHandler's.
//
// These calls come in the order of what happened to the connection: after a HandleConnect or
// HandleAccept one HandleFault, and the next HandleConnect or HandleAccept after that. But at most
// 16 faults of a connection wait for the pool. Beyond that no more is noted of a fault than that
// there was one, and when the pool goes on it is told of the last one if the connection is still
// down; so a HandleConnect or HandleAccept without a HandleFault since the one before means that
// there have been too many to tell. Stats.Faults counts all. A mark down is no fault. All
// handlers of the chain are told.
type FaultHandler interface {
	HandleFault(c Connection, err error)
}

// FastFaultHandler is HandleFault on the worker, and before it, for each fault, however many
// there are: after the last message that the transport brought was fast dispatched, and before
// HandleFastConnect or HandleFastAccept of the next. It must not block.
type FastFaultHandler interface {
	HandleFastFault(c Connection, err error)
}

// ResetHandler is told that a connection is gone for good without a local
// MarkDown: a lossy session broke, the connection was refused by the protocol, or its
// peer stayed away for Config.StandbyTimeout. At most once per Connection. The first
// handler that returns true ends the chain. reason wraps the cause.
type ResetHandler interface {
	HandleReset(c Connection, reason error) bool
}

// RemoteResetHandler is told that the peer lost its side of the session
// (policies with ResetCheck): messages sent before may not have been handled,
// what was queued was dropped and reported. The connection goes on.
type RemoteResetHandler interface{ HandleRemoteReset(c Connection) }

// FastResetHandler is told on the worker what HandleReset will be told by the pool, once for
// each of its calls and before it. (There may be no such call any more, if the messenger is shut
// down meanwhile.) No message of the connection is fast dispatched after it, so that what fast
// dispatch keeps of a connection can be dropped there. The connection is not found any more:
// ConnectTo makes another one, which may be on another worker, and have messages, before
// HandleFastReset of the old one has returned; so drop what belongs to c, not to its peer. All
// handlers of the chain are told. It must not block.
type FastResetHandler interface{ HandleFastReset(c Connection) }

// FastRemoteResetHandler is told on the worker what HandleRemoteReset will be told by the
// pool, once for each of its calls and before it, when all messages of the session that was lost
// have been fast dispatched, and before the first one of the next session is. (There may be no
// such call any more, if the connection is marked down meanwhile.) HandleRemoteReset itself may
// run after messages of the next session were fast dispatched. It must not block.
type FastRemoteResetHandler interface{ HandleFastRemoteReset(c Connection) }

// RefusedHandler is told that the peer's host refused the TCP connection, once
// per attempt. The messenger goes on trying unless the connection is marked
// down. The first handler that returns true ends the chain.
type RefusedHandler interface {
	HandleRefused(c Connection, err error) bool
}

// ConnectFailedHandler is told, by the pool, of each attempt to connect that
// failed, for whatever reason, with the attempt's number: a wrong address, a peer
// that speaks something else, refused authentication, a timeout. The messenger
// goes on trying, with growing delays, until the connection is marked down. All
// handlers of the chain are told. (RefusedHandler is told of refused TCP
// connections alone, as in Ceph; those come here too.)
type ConnectFailedHandler interface {
	HandleConnectFailed(c Connection, err *ConnectError)
}

// RejectedHandler is told, by the pool, of a message that broke its connection
// again and again; see RejectedError. All handlers of the chain are told.
type RejectedHandler interface {
	HandleRejected(c Connection, err *RejectedError)
}

// SendPressureHandler is told, by the pool, when what a connection holds for
// sending passes Config.SendHighWater, and again (high is false) when it has
// fallen to half of that. All handlers of the chain are told.
type SendPressureHandler interface {
	HandleSendPressure(c Connection, high bool)
}

// UndeliverableHandler is told of each message that was accepted by Send and is
// dropped, with the reason: ErrMarkedDown, ErrReset, ErrRemoteReset, ErrShutdown,
// ErrNoSession, ErrCancelled, ErrDeadline, ErrRejected, ErrPeerAbsent. "Dropped"
// means not known to be delivered: a message that was written but not acknowledged
// may have arrived. HandleUndeliverable runs on the worker or on the goroutine that
// closed the connection, after Message.Notify, and must not block. All handlers of the chain are told.
type UndeliverableHandler interface {
	HandleUndeliverable(c Connection, m *Message, reason error)
}
