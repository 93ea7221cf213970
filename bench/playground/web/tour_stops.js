// The words of the tour. A try is ticked when its condition holds: done({state, acts, player})
// gets the state of the engine and the lines that were clicked at this stop.

const did = (...verbs) => ({ acts }) => acts.some((line) => verbs.includes(line.split(" ")[0]));
const kept = (state) => state.sessions.reduce((n, s) => n + [...s.kept, ...s.queued].reduce((a, b) => a + b), 0);
const queued = (state, what) => state.nodes.reduce((n, x) => n + Object.values(x[what] ?? {}).reduce((a, b) => a + b, 0), 0);
const after = (verb, more) => (x) => did(verb)(x) && more(x);
// A while after the last click, in milliseconds, so that what it did can be seen.
const later = ({ state, stop }, ms = 100) => state.at > stop.lastActAt + ms * 1e6;
const ready = (state) => state.sessions.length > 0 && state.sessions.every((s) => s.state === "ready");

export const STOPS = [
  {
    title: "Nothing is lost",
    text: ["Two nodes, a session between them, and messages (the filled circles) on their way. A lossless session lives longer than its TCP connection: what was sent is kept, until the other side has said that it came.",
      "The small squares beside a node are messages that it keeps. The ticks that come back are acknowledgements."],
    tries: [
      ["Cut the connection: take the tool Cut and click the line, or choose the line and press Cut.", did("cut")],
      ["See the crosses of what was lost on the way, and the session connect again by itself.", after("cut", (x) => later(x) && ready(x.state))],
      ["Cut it a few times more. The events say what each side was told.", ({ acts }) => acts.filter((l) => l.startsWith("cut")).length >= 3],
    ],
    learned: "Each message arrives exactly once and in order, however often the connection breaks. The application sees none of it.",
  },
  {
    title: "Replay",
    text: ["How does a session know what the other side has? Each message has a number. When a session comes back, the diamonds on the line are RECONNECT frames: each side says the last number that it has seen, and the other sends again what is behind it, and only that."],
    tries: [
      ["Stall the session. The packets stand still, as on a network that went dark without a word.", did("stall")],
      ["Wait until some messages are kept, then cut the connection, and release the stall if need be.", after("stall", (x) => did("cut", "release", "heal")(x) && kept(x.state) > 0)],
      ["Drag the time back to before the cut, and watch it again in slow motion. It is the same run, computed anew from its seed.", ({ player }) => player.sought],
    ],
    learned: "What was kept is sent again, what the other side has already is not. The same seed and the same steps give the same run to the last byte.",
  },
  {
    title: "Races",
    text: ["Both nodes begin to connect at the same moment, so two connections cross on the way. One of them has to go, and both ends must choose the same one without asking anybody.",
      "Slow the time down, and go one event at a time."],
    tries: [
      ["Go back to the start and step through the handshake with “One event further” (the key “.”).", ({ player }) => player.stepped >= 5],
      ["Let it run until the session is ready.", ({ state }) => ready(state) && state.at > 0],
      ["Cut it: both sides try again, at nearly the same time.", after("cut", (x) => later(x) && ready(x.state))],
    ],
    learned: "The addresses decide who wins a race, so both ends agree. The loser is told to WAIT, and its messages go over the winner's connection.",
  },
  {
    title: "Priorities",
    text: ["The link is slow and much bulk wants to pass it: large messages of low priority queue up. The bar beside a node is what waits there."],
    tries: [
      ["Let the queue grow for a while.", ({ state }) => queued(state, "out") >= 5],
      ["Choose the line and press “Urgent a → b”: ten small messages of high priority.", ({ acts }) => acts.some((l) => /^send .*prio=(19[6-9]|2\d\d)/.test(l))],
      ["See the ringed orange circles overtake all that waited.", (x) => x.acts.some((l) => /^send .*prio=(19[6-9]|2\d\d)/.test(l)) && later(x, 300)],
    ],
    learned: "Priorities overtake in the queue, never within what is written already. Messages of one priority stay in order.",
  },
  {
    title: "Back-pressure",
    text: ["A receiver that is slow must not be buried. It reads only as much as its throttle allows; then TCP fills up, then the sender's queue, and only of this one session."],
    tries: [
      ["Choose the receiver b and press “Stick dispatcher”.", did("stick")],
      ["See its queue grow and stop: no more is read. From now on the sender keeps what it has.", after("stick", ({ state }) => queued(state, "queue") > 0 && kept(state) + queued(state, "out") > 0)],
      ["Free it, and see the queues drain.", after("stick", did("free"))],
    ],
    learned: "Memory stays bounded at each end, other sessions go on, and nothing is dropped.",
  },
  {
    title: "Resets",
    text: ["What if the other side has died? Its next life knows nothing of the session. To pretend that nothing happened would be a lie, so the survivor is told: remote reset. What was kept for the dead one is dropped, and reported."],
    tries: [
      ["Kill b.", did("kill", "crash")],
      ["Restart it, and read in the events what a is told.", after("kill", did("restart"))],
      ["See the new session carry new messages.", after("restart", (x) => later(x, 500) && ready(x.state))],
    ],
    learned: "A lossless session is lossless while both ends live. When one forgets, the other learns it, once, before the first new message.",
  },
];
