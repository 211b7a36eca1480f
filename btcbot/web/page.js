"use strict";
// Reads status.json each second; never sends anything. Everything is set as text, never as markup.
const NUMBER = /^-?[0-9][0-9,]*(\.[0-9]+)?$/;
const BAD = new Set(["STOPPED", "STALE", "DOWN", "UNKNOWN", "ZOMBIE", "HALTED", "DEGRADED"]);
const ACCOUNT_STALE_S = 5;
const FEED_STALE_S = 5;
const HEARTBEAT_STALE_S = 1;
const PERIOD_MS = 1000;
const POINTS = 900;
const byId = (id) => document.getElementById(id);
const equity = [];

function cell(kind, value) {
  const made = document.createElement(kind);
  const shown = value === null || value === undefined ? "" : String(value);
  made.textContent = shown;
  if (kind === "td" && NUMBER.test(shown)) made.className = "number";
  if (BAD.has(shown.split(" ")[0])) made.className = "bad";
  return made;
}

function line(kind, values) {
  const row = document.createElement("tr");
  for (const value of values) row.appendChild(cell(kind, value));
  return row;
}

function fill(id, columns, rows) {
  const body = rows.length ? rows.map((row) => line("td", row)) : [line("td", ["none"])];
  const names = line("th", columns);
  [...names.children].forEach((name, n) => { name.className = body[0].children[n]?.className ?? ""; });
  byId(id).replaceChildren(names, ...body);
}

// Strings of exact decimals are cut for the eye, never turned into floating point.
function cut(text, places) {
  if (text === null || text === undefined) return "?";
  const [whole, rest = ""] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return places === 0 ? grouped : `${grouped}.${rest.slice(0, places).padEnd(places, "0")}`;
}

function aged(age, limit) {
  if (age === null) return "STALE";
  return age <= limit ? age.toFixed(1) : `STALE ${age.toFixed(0)}`;
}

const time = (ns) => new Date(ns / 1e6).toISOString().slice(11, 19);

function say(id, text, isBad) {
  byId(id).textContent = text;
  byId(id).className = isBad ? "bad" : "";
}

function head(s) {
  say("mode", `${s.mode}, ${s.ready ? "ready" : "NOT READY"}`, !s.ready);
  const set = s.trading_state_set;
  say("trading", `${s.trading_state} (by ${set.by}: ${set.reason})`, s.trading_state !== "LIVE");
  const stale = s.account_age_s === null || s.account_age_s > ACCOUNT_STALE_S;
  say("age", stale ? `STALE: account age ${aged(s.account_age_s, 0)} s` : `${s.ts.slice(0, 19)}Z`, stale);
  const notes = s.pauses.map((p) => {
    const scope = Object.entries(p.scope).map(([name, part]) => `${name}=${part}`).join(" ");
    return `paused ${scope || "everything"}: ${p.reason} (until ${p.until ?? "resumed"})`;
  });
  if (s.killing) notes.push("killed: not every order is proven closed yet");
  if (s.orders.unknown) notes.push(`${s.orders.unknown} orders UNKNOWN, oldest ${s.orders.oldest_unknown_age_s} s`);
  byId("notes").replaceChildren(...notes.map((note) => cell("li", note)));
}

function money(s) {
  const pnl = s.pnl_day;
  fill("money", ["", s.equity.asset], [
    ["equity", cut(s.equity.value, 2)], ["realized today", cut(pnl.realized, 2)],
    ["unrealized", cut(pnl.unrealized, 2)], ["fees today", cut(pnl.fees, 2)],
    ["turnover today", cut(pnl.turnover, 2)], ["fills today", pnl.fills],
    ["drawdown", cut(pnl.drawdown, 2)],
  ]);
  if (s.equity.value !== null) {
    equity.push(Number(s.equity.value));  // For the picture alone.
    if (equity.length > POINTS) equity.shift();
  }
  picture();
}

function picture() {
  if (equity.length < 2) return;
  const low = Math.min(...equity), high = Math.max(...equity), span = high - low || 1;
  const points = equity.map((value, n) =>
    `${(300 * n / (equity.length - 1)).toFixed(1)},${(76 - 72 * (value - low) / span).toFixed(1)}`);
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  drawn.setAttribute("points", points.join(" "));
  byId("equity").replaceChildren(drawn);
  byId("range").textContent = `${cut(low.toFixed(2), 2)} to ${cut(high.toFixed(2), 2)} TRY`;
}

function tables(s) {
  const feedAge = Object.fromEntries(s.feeds.map((f) => [f.pair, f.age_s]));
  fill("positions", ["pair", "quantity", "average cost", "price", "unrealized", "realized", "price age s"],
    s.positions.map((p) => [p.pair, p.quantity, cut(p.average_cost, 2), p.mark, cut(p.unrealized_pnl, 2),
      cut(p.realized_pnl, 2), aged(feedAge[p.pair] ?? null, FEED_STALE_S)]));
  fill("balances", ["asset", "total", "free"], s.balances.map((b) => [b.asset, b.total, b.free]));
  fill("actors", ["actor", "state", "heartbeat s", "restarts", "rss MB"], s.actors.map((a) =>
    [a.name, a.state, aged(a.heartbeat_age_s, HEARTBEAT_STALE_S), a.restarts, a.rss_mb]));
  fill("feeds", ["pair", "state", "age s", "reason"],
    s.feeds.map((f) => [f.pair, f.state, aged(f.age_s, FEED_STALE_S), f.reason]));
  fill("limits", ["limit", "used", "allowed"], s.limits.map((l) => [l.name, cut(l.used, 0), cut(l.limit, 0)]));
  fill("orders", ["created UTC", "order", "pair", "side", "quantity", "price", "filled", "state"],
    s.live_orders.map((o) => [time(o.created_ns), o.client_order_id, o.pair, o.side, o.quantity,
      o.limit_price, o.filled, o.state]));
  fill("fills", ["UTC", "trade", "pair", "side", "quantity", "price", "fee", "tax", "order"],
    s.recent_fills.map((f) => [time(f.ts_ns), f.trade_id, f.pair, f.side, f.quantity, f.price, f.fee,
      f.tax, f.client_order_id ?? "not ours"]));
  fill("refusals", ["UTC", "strategy", "pair", "side", "quantity", "price", "rule", "detail"],
    s.recent_refusals.map((r) => [time(r.judged_ns), r.strategy, r.pair, r.side, r.quantity,
      r.limit_price, r.rule, r.detail]));
}

async function refresh() {
  try {
    const answer = await fetch("status.json", { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const s = await answer.json();
    head(s);
    money(s);
    tables(s);
  } catch (error) {
    say("age", `STALE: the dashboard does not answer (${error.message})`, true);
  }
  setTimeout(refresh, PERIOD_MS);  // After the answer: a slow one is never asked for twice.
}
refresh();
