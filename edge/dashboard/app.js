// The dashboard: reads /api/rawdata, /api/entrypoints and /api/stats once a
// second. Rows are built when the configuration changes and only their figures
// are updated after that, so that selection and focus survive. Text from the
// configuration reaches the page as text, never as markup.

const POLL = 1000; // ms
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") node.className = value;
    else if (key === "label") node.dataset.label = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en");
const count = (n) => (n < 100000 ? plain.format(n) : compact.format(n));

function milliseconds(ms) {
  if (ms >= 10000) return [(ms / 1000).toFixed(1), "s"];
  if (ms >= 1000) return [(ms / 1000).toFixed(2), "s"];
  if (ms >= 100) return [ms.toFixed(0), "ms"];
  if (ms >= 1) return [ms.toFixed(1), "ms"];
  return [(ms * 1000).toFixed(0), "µs"];
}
const latency = (view, q) => (view.max > 0 ? milliseconds(view[q]).join("\u00a0") : "–");

function duration(seconds) {
  const s = Math.floor(seconds), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  if (d) return `${d} d ${h % 24} h`;
  if (h) return `${h} h ${m % 60} min`;
  if (m) return `${m} min ${s % 60} s`;
  return `${s} s`;
}

// One bar a second, 60 of them; the failed share of each in red.
function bars() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bars");
  svg.setAttribute("viewBox", "0 0 60 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Nothing was counted yet");
  const parts = ["base", "ok", "bad"].map((name) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  parts[0].setAttribute("d", "M0 30H60");
  return {
    node: svg,
    update(minute) {
      const top = Math.max(1, ...minute.requestsPerSecond);
      const draw = (values) => values.map((n, i) => {
        if (!n) return "";
        const h = Math.max(1.6, (n / top) * 29);
        return `M${i + 0.12} 30v${-h.toFixed(2)}h.76V30z`;
      }).join("");
      parts[1].setAttribute("d", draw(minute.requestsPerSecond));
      parts[2].setAttribute("d", draw(minute.errorsPerSecond));
      svg.setAttribute("aria-label", `${minute.requests} requests in the last minute, ${minute.errors} failed`);
    },
  };
}

function answers() {
  const stack = el("div", { class: "stack" }), legend = el("div", { class: "legend" });
  const node = el("div", {}, stack, legend);
  let shown = "";
  return {
    node,
    update(classes) {
      const key = JSON.stringify(classes);
      if (key === shown) return;
      shown = key;
      const some = Object.entries(classes).filter(([, n]) => n > 0);
      stack.replaceChildren(...some.map(([name, n]) => {
        const part = el("i", { class: `s${name[0]}`, title: `${name}: ${n}` });
        part.style.flexGrow = n;
        return part;
      }));
      legend.replaceChildren(...(some.length ? some.map(([name, n]) =>
        el("span", {}, el("i", { class: `s${name[0]}` }), `${name} ${count(n)}`)) : ["no requests yet"]));
    },
  };
}

function nameOf(full) {
  const at = full.lastIndexOf("@");
  return at < 0 ? [full] : [full.slice(0, at), el("small", {}, full.slice(at))];
}

// A rule with its matchers coloured; hosts and path prefixes are links.
function ruleText(rule, web) {
  const node = el("code", { class: "rule" });
  let matcher = "";
  for (const [part] of rule.matchAll(/`[^`]*`|"(?:[^"\\]|\\.)*"|\w+|[^\w`"]+|./gs)) {
    if (/^\w/.test(part)) {
      matcher = part;
      node.append(el("span", { class: "fn" }, part));
    } else if (/^[`"]/.test(part)) {
      const text = part.slice(1, -1);
      let href = "";
      if (matcher === "Host") href = `http://${text}${web.suffix}/`;
      if (matcher === "PathPrefix" || matcher === "Path") href = `http://${web.host}${web.suffix}${text}`;
      node.append(href
        ? el("a", { class: "str", href, target: "_blank", rel: "noopener", title: `Open ${href}` }, part)
        : el("span", { class: "str" }, part));
    } else {
      node.append(part);
    }
  }
  return node;
}

function routerRow(router, web) {
  const spark = bars(), stack = answers();
  const head = el("span", { class: "name" }, ...nameOf(router.name));
  const first = el("td", { class: "main" }, head, ruleText(router.rule, web));
  if (router.status !== "enabled") head.append(el("span", { class: "badge", title: (router.error || []).join("; ") }, router.status));
  const cells = {
    requests: el("td", { class: "num", label: "Requests" }),
    p50: el("td", { class: "num", label: "p50" }),
    p99: el("td", { class: "num", label: "p99" }),
  };
  const service = el("td", { class: "service" }, el("a", { href: `#service-${router.service}` }, router.service));
  const row = el("tr", {}, first, service,
    el("td", { class: "num priority muted" }, String(router.priority)),
    el("td", { class: "spark" }, spark.node), cells.requests, cells.p50, cells.p99,
    el("td", { class: "answers" }, stack.node));
  return {
    node: row,
    update(stats) {
      spark.update(stats.lastMinute);
      stack.update(stats.statusClasses);
      put(cells.requests, count(stats.requests));
      put(cells.p50, latency(recent(stats), "p50"));
      put(cells.p99, latency(recent(stats), "p99"));
    },
  };
}

// Latencies of the last minute, or of all time when that was quiet.
const recent = (stats) => (stats.lastMinute.latencyMs.max > 0 ? stats.lastMinute.latencyMs : stats.latencyMs);

function figures(...names) {
  const values = names.map(() => el("dd", {}, "–"));
  const node = el("dl", { class: "figures" }, ...names.map((name, i) => el("div", {}, el("dt", {}, name), values[i])));
  return { node, set: (...texts) => texts.forEach((text, i) => put(values[i], text)) };
}

function serviceCard(service) {
  const state = el("span", { class: "state" }), stack = answers(), numbers = figures("Requests", "In flight", "p50", "p99");
  const servers = service.loadBalancer.servers.map((server) => {
    const dot = el("i", { class: "dot" }), note = el("em", {});
    const node = el("li", {}, dot, el("span", {}, server.url), note);
    return { node, dot, note, url: server.url, weight: server.weight };
  });
  const list = el("ul", { class: "servers" }, ...(servers.length ? servers.map((s) => s.node) : [el("li", {}, "no servers: every request gets 503")]));
  const card = el("article", { class: "card", id: `service-${service.name.replace(/@file$/, "")}` },
    el("div", { class: "card-head" }, el("span", { class: "name" }, ...nameOf(service.name)), state),
    list, numbers.node, stack.node);
  return {
    node: card,
    update(stats, now) {
      let up = 0;
      for (const server of servers) {
        const isUp = now.serverStatus[server.url] === "UP";
        up += isUp;
        server.dot.className = isUp ? "dot up" : "dot down";
        server.node.title = isUp ? "" : "refuses connections; tried again from time to time";
        put(server.note, !isUp ? "down" : server.weight ? `weight ${server.weight}` : "up");
      }
      const all = servers.length;
      put(state, all === 0 ? "no servers" : up === all ? (all === 1 ? "healthy" : `${all} healthy`) : `${up} of ${all} healthy`);
      state.className = up === all && all > 0 ? "state" : up > 0 ? "state warn" : "state bad";
      numbers.set(count(stats.requests), count(stats.inFlight), latency(recent(stats), "p50"), latency(recent(stats), "p99"));
      stack.update(stats.statusClasses);
    },
  };
}

function entryCard(entry) {
  const stack = answers(), numbers = figures("Requests", "In flight", "p50", "p99");
  const card = el("article", { class: "card" },
    el("div", { class: "card-head" }, el("span", { class: "name" }, entry.name), el("span", { class: "state" }, "listening")),
    el("ul", { class: "servers" }, el("li", {}, el("i", { class: "dot up" }), el("span", {}, entry.address))),
    numbers.node, stack.node);
  return {
    node: card,
    update(stats) {
      numbers.set(count(stats.requests), count(stats.inFlight), latency(recent(stats), "p50"), latency(recent(stats), "p99"));
      stack.update(stats.statusClasses);
    },
  };
}

// Where links go: the entry point's port, under the name this page came by.
function webAddress(entrypoints) {
  const address = entrypoints.find((e) => e.name === "web")?.address ?? ":80";
  const port = address.slice(address.lastIndexOf(":") + 1);
  return { host: location.hostname, suffix: port === "80" ? "" : `:${port}` };
}

let built = "", parts = { routers: {}, services: {}, entryPoints: {} };

function build(raw, entrypoints) {
  const fixed = JSON.stringify([raw.routers, Object.values(raw.services).map((s) => [s.name, s.loadBalancer]), entrypoints]);
  if (fixed === built) return;
  built = fixed;
  const web = webAddress(entrypoints);
  const byPriority = Object.values(raw.routers).sort((a, b) => b.priority - a.priority || a.name.localeCompare(b.name));
  const make = (items, create) => Object.fromEntries(items.map((item) => [item.name, create(item)]));
  parts = {
    routers: make(byPriority, (r) => routerRow(r, web)),
    services: make(Object.values(raw.services).sort((a, b) => a.name.localeCompare(b.name)), serviceCard),
    entryPoints: make(entrypoints, entryCard),
  };
  $("routers").replaceChildren(...Object.values(parts.routers).map((p) => p.node));
  $("services").replaceChildren(...Object.values(parts.services).map((p) => p.node));
  $("entrypoints").replaceChildren(...Object.values(parts.entryPoints).map((p) => p.node));
}

const rateChart = bars();
$("rate-chart").append(rateChart.node);

function big(id, [value, unit]) {
  const node = $(id), text = value + unit;
  if (node.dataset.shown === text) return;
  node.dataset.shown = text;
  node.replaceChildren(value, unit ? el("small", {}, unit) : "");
}

function updateTiles(stats) {
  const web = stats.entryPoints.web, minute = web.lastMinute;
  rateChart.update(minute);
  // The second under way is not full yet: average the five before it, or those in
  // which the edge has been running.
  const seconds = Math.min(5, Math.max(1, Math.floor(stats.uptimeSeconds)));
  const rate = minute.requestsPerSecond.slice(-1 - seconds, -1).reduce((a, b) => a + b, 0) / seconds;
  big("rate", [rate >= 100 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1), "/s"]);
  put($("total"), count(web.requests));
  put($("minute"), count(minute.requests));
  const view = recent(web);
  big("p50", view.max > 0 ? milliseconds(view.p50) : ["–", ""]);
  put($("p90"), latency(view, "p90"));
  put($("p99"), latency(view, "p99"));
  const failed = web.statusClasses["5xx"];
  big("errors", [count(failed), ""]);
  $("errors").parentElement.classList.toggle("bad", minute.errors > 0);
  put($("error-share"), minute.errors ? `${((100 * minute.errors) / minute.requests).toFixed(1)} %` : "none");
  big("in-flight", [count(web.inFlight), ""]);
  const t = stats.tracing;
  big("spans", [t.exporter === "none" ? "off" : count(t.sent), ""]);
  const lost = t.dropped + t.refused;
  put($("spans-sub"), t.exporter === "none" ? "no trace exporter" : `${count(t.queued)} waiting · ${count(lost)} lost`);
}

function updateFacts(stats, version) {
  put($("version"), version.Version === "dev" ? "" : version.Version);
  $("live").className = "dot up";
  put($("uptime"), `up ${duration(stats.uptimeSeconds)}`);
  const c = stats.config, file = c.file ? c.file.split(/[\\/]/).pop() : "built in";
  $("config-fact").replaceChildren("configuration ", el("b", { title: c.file || "" }, file), c.reloads ? ` reloaded ${c.reloads}×` : "");
  const t = stats.tracing;
  const state = t.exporter === "none" ? "dot" : t.lastError ? "dot wait" : "dot up";
  $("tracing-fact").replaceChildren(el("i", { class: state }), "traces ", el("b", { title: t.endpoint || "" }, t.exporter));
}

function updateNotices(stats) {
  const list = [];
  if (stats.config.lastError) list.push(["bad", "The configuration file is broken; the previous configuration stays in use.", stats.config.lastError]);
  if (stats.config.warnings.length) list.push(["warn", "Parts of the configuration have no effect.", stats.config.warnings.join("\n")]);
  if (stats.tracing.lastError) list.push(["warn", "Spans cannot be sent at the moment. Requests are not affected.", stats.tracing.lastError]);
  const key = JSON.stringify(list);
  if ($("notices").dataset.shown === key) return;
  $("notices").dataset.shown = key;
  $("notices").replaceChildren(...list.map(([kind, title, text]) => el("p", { class: `notice ${kind}` }, el("b", {}, title), text)));
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function refresh() {
  const [raw, entrypoints, stats, version] = await Promise.all(
    ["/api/rawdata", "/api/entrypoints", "/api/stats", "/api/version"].map(get));
  build(raw, entrypoints);
  updateTiles(stats);
  updateFacts(stats, version);
  updateNotices(stats);
  for (const [name, part] of Object.entries(parts.routers)) if (stats.routers[name]) part.update(stats.routers[name]);
  for (const [name, part] of Object.entries(parts.services)) if (stats.services[name]) part.update(stats.services[name], raw.services[name]);
  for (const [name, part] of Object.entries(parts.entryPoints)) part.update(stats.entryPoints[name]);
}

async function loop() {
  if (!document.hidden) {
    try {
      await refresh();
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale");
      $("live").className = "dot down";
      put($("uptime"), "no answer from the edge");
    }
  }
  setTimeout(loop, POLL);
}
loop();
