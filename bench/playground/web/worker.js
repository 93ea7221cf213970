// The Web Worker of the playground: it loads the simulator, which is Go compiled to
// WebAssembly, and passes requests to it. It knows nothing of what they mean.
//
// In: an object with a number "id". Out: {id, replies: [...]}, or {fatal: "why"} when
// no more answers will come.
"use strict";

function fatal(err) {
  self.postMessage({ fatal: String((err && err.message) || err) });
}

async function compile(url, imports) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  // Not every server of files knows the type application/wasm, which streaming needs.
  if (WebAssembly.instantiateStreaming && /^application\/wasm/.test(response.headers.get("Content-Type") || "")) {
    return WebAssembly.instantiateStreaming(response, imports);
  }
  return WebAssembly.instantiate(await response.arrayBuffer(), imports);
}

async function load() {
  if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly");
  importScripts("wasm_exec.js");
  const go = new Go();
  const ready = new Promise((resolve) => { self.asyncmsgrReady = resolve; });
  const { instance } = await compile("playground.wasm", go.importObject);
  go.run(instance).then(() => fatal("the simulator has ended"), fatal);
  if (typeof self.asyncmsgrPlayground !== "function") await ready;
}

const loaded = load();
loaded.catch(fatal);

self.onmessage = async (e) => {
  try {
    await loaded;
  } catch {
    return; // has been told
  }
  try {
    self.postMessage({ id: e.data.id, replies: JSON.parse(self.asyncmsgrPlayground(JSON.stringify(e.data))) });
  } catch (err) {
    fatal(err);
  }
};
