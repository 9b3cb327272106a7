// What visitors do, from their browsers to POST /v1/TENANT/events. See docs/serving.md.
//
//   <script src="https://rec.example/tracker.js" data-tenant="shop" data-key="zy_... (scope ingest)"></script>
//   zhiyin.consent(true)                      the visitor agreed: from here on, also on later pages
//   zhiyin.track("view", "p12")               kind, item, and {trace, placement, value, place} where known
//   <a data-zy-item="p12" data-zy-trace="..." data-zy-placement="home">   sends its clicks by itself
//   zhiyin.user("u17"), zhiyin.user()         who logged in; logged out
//   zhiyin.session()                          the id to ask recommendations with, null without consent
//
// Before consent nothing is kept in the browser and nothing is sent; what happens on that page waits in memory.
// This file is served without its comments and spaces; every statement ends in a semicolon.
(() => {
  const script = document.currentScript, said = script.dataset, json = "application/json", headers = {"content-type": json};
  const url = script.src.replace(/tracker\.js.*/, `v1/${encodeURIComponent(said.tenant)}/events`);
  if (said.key) headers.authorization = "Bearer " + said.key;
  // A browser may forbid storage: then the id lives as long as the page.
  const stored = (where, what, value) => {
    try { return window[where + "Storage"][what + "Item"]("zhiyin", value); } catch {}
  };
  const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map(b => (b + 256).toString(16).slice(1)).join("");
  let session = stored("local", "get"), traces = JSON.parse(stored("session", "get") || "{}"), user, waiting = [], timer, pause = 1e3;
  const plan = () => { timer ||= setTimeout(send, pause); };
  const send = leaving => {
    clearTimeout(timer);
    timer = 0;
    if (!session || !waiting.length) return;
    // When it is sent again it has the same ids, and counts once.
    const batch = waiting.splice(0, 50).map(e => ({session, user, ...e})), body = JSON.stringify(batch);
    if (leaving && !("keepalive" in Request.prototype)) return navigator.sendBeacon(url, new Blob([body], {type: json}));
    fetch(url, {method: "POST", headers, body, keepalive: true, credentials: "omit"}).then(r => {
      if (r.status == 429 || r.status > 499) throw r;
      pause = 1e3;
    }).catch(() => {
      if (session) waiting.unshift(...batch);
      pause = Math.min(pause * 2, 6e4);
    }).finally(() => waiting.length && plan());
  };
  const leave = () => send(1);
  const track = (kind, item, more = {}) => {
    // What led to an item once is told of everything done to it later in this tab.
    if (more.trace) traces[item] = {trace: more.trace, placement: more.placement};
    if (session) stored("session", "set", JSON.stringify(traces));
    waiting.push({event_id: fresh(), kind, item: "" + item, ...traces[item], ...more});
    waiting = waiting.slice(-200);
    plan();
  };
  const renew = () => stored("local", "set", session = fresh());
  const consent = yes => {
    if (yes) return session || renew(), plan();
    session = null;
    waiting = [];
    stored("local", "remove");
    stored("session", "remove");
  };
  // Who logs out becomes somebody else: his old session belongs to him.
  window.zhiyin = {track, consent, session: () => session, user: id => { send(); (user = id) || session && renew(); }};
  addEventListener("click", e => {
    const on = e.target.closest("[data-zy-item]"), of = on && on.dataset;
    if (of) track("click", of.zyItem, {trace: of.zyTrace, placement: of.zyPlacement});
  }, true);
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", leave);
})();
