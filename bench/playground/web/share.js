// A link carries all of a run in its fragment, which is not sent to any server:
//
//	#seed=7&at=1250000000&s=z.<text, deflated, base64url>   or s=t.<text, base64url>
//	#preset=ring&nodes=5&seed=7&faults=1&policy=lossless_peer

const TEXT_MAX = 64 << 10; // bytes of a scenario in a link
const SEED_MAX = 18446744073709551615n;
const TIME_MAX = 2 ** 53;

const pack = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const unpack = (s) => {
  if (!/^[A-Za-z0-9_-]*$/.test(s)) throw new Error("a letter that base64url does not have");
  return Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
};

async function through(bytes, stream, max) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > max) {
      reader.cancel();
      throw new Error(`a scenario of more than ${max >> 10} KiB`);
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// encode makes the fragment of a link.
export async function encode({ seed, at, text }) {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > TEXT_MAX) throw new Error(`The text is too long for a link: ${bytes.length >> 10} KiB, at most ${TEXT_MAX >> 10}. Save the file instead.`);
  let s = `t.${pack(bytes)}`;
  if (typeof CompressionStream === "function") {
    const z = `z.${pack(await through(bytes, new CompressionStream("deflate-raw"), TEXT_MAX * 2))}`;
    if (z.length < s.length) s = z;
  }
  return `#seed=${seed}&at=${Math.round(at)}&s=${s}`;
}

// decode reads a fragment: null when it is empty, or {text, seed, at}, or {preset, nodes, ...}.
// It throws an Error with a reason in words.
export async function decode(fragment) {
  const rest = fragment.replace(/^#/, "");
  if (rest === "") return null;
  const fields = new URLSearchParams(rest);
  const known = ["seed", "at", "s", "preset", "nodes", "faults", "policy"];
  for (const key of fields.keys()) {
    if (!known.includes(key)) throw new Error(`it has a part “${short(key)}”, which is none of ${known.join(", ")}`);
  }
  const seed = fields.get("seed") ?? "1";
  if (!/^[0-9]{1,20}$/.test(seed) || BigInt(seed) > SEED_MAX) throw new Error(`the seed “${short(seed)}” is no number of 64 bits`);
  const at = Number(fields.get("at") ?? 0);
  if (!Number.isInteger(at) || at < 0 || at > TIME_MAX) throw new Error(`the time “${short(fields.get("at"))}” is no number of nanoseconds`);
  if (fields.has("s")) return { seed, at, text: await decodeText(fields.get("s")) };
  if (!fields.has("preset")) throw new Error("it has neither a scenario (s=) nor the name of one (preset=)");
  const nodes = Number(fields.get("nodes") ?? 0);
  const faults = Number(fields.get("faults") ?? 0);
  if (!Number.isInteger(nodes) || nodes < 0 || nodes > 50) throw new Error(`“${short(fields.get("nodes"))}” nodes: a number up to 50`);
  if (!(faults >= 0 && faults <= 100)) throw new Error(`“${short(fields.get("faults"))}” faults a second: a number up to 100`);
  return { preset: fields.get("preset"), nodes, seed, at, faults, policy: fields.get("policy") ?? "" };
}

async function decodeText(s) {
  if (s.length > 2 * TEXT_MAX) throw new Error("it is too long");
  let bytes;
  try {
    if (s.startsWith("t.")) bytes = unpack(s.slice(2));
    else if (s.startsWith("z.")) bytes = await through(unpack(s.slice(2)), new DecompressionStream("deflate-raw"), TEXT_MAX);
    else throw new Error("it begins with neither z. nor t.");
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (err) {
    throw new Error(`its scenario cannot be unpacked (${err.message || err})`);
  }
}

function short(s) {
  s = String(s);
  return s.length > 40 ? `${s.slice(0, 40)}…` : s;
}
