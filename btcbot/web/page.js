"use strict";
// Reads /status.json each second; never sends anything. Text only: nothing is taken as markup.
const number = /^-?[0-9.]+$/;

function fill(id, columns, rows) {
  const table = document.getElementById(id);
  const head = document.createElement("tr");
  for (const name of columns) head.appendChild(cell("th", name));
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    for (const value of row) line.appendChild(cell("td", value));
    return line;
  });
  table.replaceChildren(head, ...body);
}

function cell(kind, value) {
  const made = document.createElement(kind);
  const shown = value === null || value === undefined ? "" : String(value);
  made.textContent = shown;
  if (kind === "td" && number.test(shown)) made.className = "number";
  if (["STOPPED", "STALE", "DOWN", "UNKNOWN", "HALTED", "DEGRADED"].includes(shown)) made.className = "bad";
  return made;
}

function show(s) {
  document.getElementById("mode").textContent = s.mode + (s.ready ? " · ready" : " · NOT READY");
  document.getElementById("mode").className = s.ready ? "good" : "bad";
  const set = s.trading_state_set;
  document.getElementById("trading").textContent = `${s.trading_state} (by ${set.by}: ${set.reason})`;
  const age = s.account_age_s;
  const stale = age === null || age > 5;
  const status = document.getElementById("age");
  status.textContent = stale ? `STALE: account ${age === null ? "not heard" : age.toFixed(0) + " s old"}` : s.ts.slice(0, 19) + "Z";
  status.className = stale ? "bad" : "";
  const pnl = s.pnl_day;
  fill("money", ["", s.equity.asset], [["equity", s.equity.value], ["realized today", pnl.realized],
    ["unrealized", pnl.unrealized], ["fees today", pnl.fees], ["turnover today", pnl.turnover], ["drawdown", pnl.drawdown]]);
  fill("positions", ["pair", "quantity", "average cost", "unrealized"],
    s.positions.map((p) => [p.pair, p.quantity, p.average_cost, p.unrealized_pnl]));
  fill("balances", ["asset", "total", "free"], s.balances.map((b) => [b.asset, b.total, b.free]));
  fill("actors", ["actor", "state", "heartbeat s"], s.actors.map((a) => [a.name, a.state, a.heartbeat_age_s]));
  fill("feeds", ["pair", "state", "age s"], s.feeds.map((f) => [f.pair, f.state, f.age_s]));
  fill("limits", ["limit", "used", "allowed"], s.limits.map((l) => [l.name, l.used, l.limit]));
  fill("orders", ["order", "pair", "side", "quantity", "price", "state", "filled"],
    s.live_orders.map((o) => [o.client_order_id, o.pair, o.side, o.quantity, o.limit_price, o.state, o.filled]));
}

async function refresh() {
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    show(await answer.json());
  } catch (error) {
    const status = document.getElementById("age");
    status.textContent = "STALE: the dashboard does not answer";
    status.className = "bad";
  }
}
refresh();
setInterval(refresh, 1000);
