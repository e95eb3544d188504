"use strict";
// What the console does beyond plain pages: live parts, keys, dialogs, times in the viewer's zone. Nothing depends on it.

(() => {
  const root = document.body.dataset.root;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Times ----------------------------------------------------------------------------------------

  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [size, unit] = UNITS.find(([each]) => whole >= each) || UNITS[3];
    return `${Math.floor(whole / size)} ${unit}`;
  }

  function full(moment) {
    const two = (number) => String(number).padStart(2, "0");
    const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
    return `${day} ${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  }

  function tellTimes() {
    for (const time of all("time[datetime]")) {
      const moment = new Date(time.dateTime);
      const seconds = (Date.now() - moment) / 1000;
      const ago = seconds >= 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
      const text = time.dataset.form === "ago" ? ago : full(moment);
      if (time.textContent !== text) time.textContent = text;
      time.title = time.dataset.form === "ago" ? full(moment) : ago;
    }
  }

  function tellZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const secure = location.protocol === "https:" ? "; secure" : "";
    if (zone) document.cookie = `penstock_zone=${zone}; path=${root}/; max-age=31536000; samesite=lax${secure}`;
  }

  // Live parts -----------------------------------------------------------------------------------

  const MIN_PAUSE = 1000;
  let waiting = null;
  let lastTook = 0;
  let stale = false;

  function isBusy(part) {
    const active = document.activeElement;
    const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName) && active.type !== "checkbox";
    const typing = part.contains(active) && writing && !active.matches("[data-priority], [data-slides]");
    const unset = all("[data-priority]", part).some((field) => field.value !== field.defaultValue);
    const chosen = all("input[type=file]", part).some((input) => input.files.length > 0);
    return typing || unset || chosen || one("details[open][data-hold]", part) !== null || !window.getSelection().isCollapsed;
  }

  function put(part, fresh) {
    const ticked = new Set(all("input[type=checkbox]:checked", part).map((box) => box.name + box.value));
    const opened = new Set(all("details[open][id]", part).map((each) => each.id));
    const at = one("tr.at", part)?.id;
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const scrolled = one(".rows-wrap", part)?.scrollLeft;
    const key = focus && (focus.id ? `#${CSS.escape(focus.id)}` : focus.getAttribute("formaction") ? `[formaction="${focus.getAttribute("formaction")}"]` : focus.getAttribute("href") ? `[href="${focus.getAttribute("href")}"]` : focus.value ? `[value="${CSS.escape(focus.value)}"]` : null);
    part.innerHTML = fresh.innerHTML;
    prepare(part);
    for (const box of all("input[type=checkbox]", part)) if (ticked.has(box.name + box.value)) box.checked = true;
    for (const id of opened) { const each = document.getElementById(id); if (each) each.open = true; }
    if (at) document.getElementById(at)?.classList.add("at");
    if (key) one(key, part)?.focus({ preventScroll: true });
    if (scrolled) { const wrap = one(".rows-wrap", part); if (wrap) wrap.scrollLeft = scrolled; }
    countSelected();
  }

  async function refresh() {
    clearTimeout(waiting);
    waiting = null;
    if (document.hidden) { stale = true; return; }
    const parts = all("[data-live][id]");
    if (!parts.length) return;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "manual" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const fresh = page.getElementById(part.id);
        if (fresh && part.dataset.was !== fresh.innerHTML && !isBusy(part)) {
          part.dataset.was = fresh.innerHTML;
          put(part, fresh);
        }
      }
      tellTimes();
    } catch (error) {
      // The network is away: the next event tries again.
    }
    lastTook = performance.now() - began;
  }

  function soon() {
    if (waiting === null) waiting = setTimeout(refresh, Math.max(MIN_PAUSE, 5 * lastTook));
  }

  function tellCounts(counts) {
    for (const place of all("[data-count]")) {
      const count = counts[place.dataset.count];
      if (count !== undefined) place.textContent = count;
    }
  }

  function follow() {
    if (!one("[data-live]") && !one("[data-count]")) return;
    const source = new EventSource(`${root}/live`);
    let first = true;
    source.addEventListener("changed", (event) => {
      const news = JSON.parse(event.data);
      tellCounts(news.counts);
      // What changed between the making of the page and the first event is on no page yet.
      if (!first || String(news.told) !== document.body.dataset.told) soon();
      first = false;
    });
    document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) { stale = false; soon(); } });
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  // Priorities: set as they are chosen, and the rows go where they belong ------------------------

  const SETTLED_MS = 300;
  const SHOWN_MS = 1600;
  const TOLD_MS = 6000;
  const settling = new Map();
  const rowsOf = () => all("[data-rows] tbody tr[id]");

  function say(text, tone) {
    const message = document.createElement("div");
    message.className = `message toast ${tone}`;
    const words = document.createElement("p");
    words.textContent = text;
    message.append(words);
    one(".said").replaceChildren(message);
    setTimeout(() => message.remove(), TOLD_MS);
  }

  async function refusalIn(answer) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.querySelector(".failure-message")?.textContent || "It could not be changed.";
  }

  async function setPriority(id, name) {
    const field = document.getElementById(id);
    if (!field || field.value === field.defaultValue) return;
    const { form } = field;
    const was = form.elements[`was.${field.dataset.priority}`].value;
    const chosen = field.value;
    const body = new URLSearchParams({ token: form.elements.token.value, [field.name]: chosen, [`was.${field.dataset.priority}`]: was });
    let refusal = null;
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { "x-live": "1" }, body, redirect: "manual" });
      if (answer.status !== 204) refusal = await refusalIn(answer);
    } catch (error) {
      refusal = "The console cannot be reached.";
    }
    if (document.getElementById(id)?.value !== chosen) return; // It was changed again meanwhile.
    if (refusal) field.value = field.defaultValue; else field.defaultValue = chosen;
    say(refusal || `${name}: ${chosen}`, refusal ? "bad" : "good");
    const before = new Map(rowsOf().map((row) => [row.id, row.getBoundingClientRect().top]));
    await refresh();
    showMoved(before, `row-${field.dataset.priority}`);
  }

  function showMoved(before, id) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const row of rowsOf()) {
      const way = before.has(row.id) ? before.get(row.id) - row.getBoundingClientRect().top : 0;
      if (way && !calm) row.animate([{ transform: `translateY(${way}px)` }, { transform: "none" }], { duration: 350, easing: "ease-out" });
    }
    const moved = document.getElementById(id);
    moved?.classList.add("moved");
    moved?.scrollIntoView({ block: "nearest" });
    setTimeout(() => document.getElementById(id)?.classList.remove("moved"), SHOWN_MS);
  }

  function settle(field) {
    clearTimeout(settling.get(field.id));
    if (!field.checkValidity()) {
      say(`${field.ariaLabel}: a whole number from 1 to 100`, "bad");
      field.value = field.defaultValue;
      return;
    }
    settling.set(field.id, setTimeout(setPriority, SETTLED_MS, field.id, field.ariaLabel));
  }

  document.addEventListener("input", (event) => {
    const { slides, priority } = event.target.dataset;
    if (slides) document.getElementById(slides).value = event.target.value;
    const slider = priority && one(`[data-slides="${event.target.id}"]`);
    if (slider) slider.value = event.target.value;
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-priority]")) settle(event.target);
    if (event.target.matches("[data-slides]")) settle(document.getElementById(event.target.dataset.slides));
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-priorities]")) event.preventDefault();
  });

  // Dialogs --------------------------------------------------------------------------------------

  const dialog = one("#ask");

  function confirmed(form, button) {
    for (const [name, value] of [["confirmed", "yes"], [button.name, button.value]]) {
      if (!name) continue;
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      form.append(field);
    }
    if (button.hasAttribute("formaction")) form.action = button.formAction;
    form.submit();
  }

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    const everything = one("input[name=everything]", event.target)?.checked;
    if (!button?.dataset.confirm || everything) return;
    event.preventDefault();
    one("#ask-title").textContent = button.dataset.confirm;
    one("[data-ask-text]", dialog).textContent = button.dataset.confirmText || "";
    one("[data-ask-yes]", dialog).textContent = button.dataset.confirmDo || button.textContent.trim();
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => { if (dialog.returnValue === "yes") confirmed(event.target, button); }, { once: true });
  });

  // Tables ---------------------------------------------------------------------------------------

  function prepare(part) {
    for (const box of all("[data-check-all]", part)) box.hidden = false;
    for (const slider of all("[data-slides]", part)) slider.hidden = false;
    for (const button of all("[data-dismiss], [data-help], [data-copy]", part)) button.hidden = false;
    countSelected();
  }

  function countSelected() {
    const form = one("[data-bulk]");
    const label = form && one("[data-selected]", form);
    if (!label) return;
    const count = all("input[name=id]:checked", form).length;
    const everything = one("input[name=everything]", form)?.checked;
    label.textContent = everything ? "All that match:" : count ? `${count} selected:` : "With selected:";
    for (const button of all("[data-bulk-action]", form)) button.disabled = !count && !everything;
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-check-all]")) for (const each of all("input[name=id]", box.closest("form"))) each.checked = box.checked;
    if (box.matches("[data-submit]")) box.form.requestSubmit();
    if (box.matches("[data-classes]")) box.form.requestSubmit();
    countSelected();
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button");
    if (target?.matches("[data-dismiss]")) target.closest(".message").remove();
    if (target?.matches("[data-help]")) one("#keys").showModal();
    if (target?.matches("[data-copy]")) navigator.clipboard?.writeText(target.dataset.copy).then(() => target.classList.add("copied"));
    for (const open of all("details.filter[open]")) if (!open.contains(event.target)) open.open = false;
  });

  // Keys -----------------------------------------------------------------------------------------

  let going = false;

  function step(by) {
    const rows = all("[data-rows] tbody tr");
    const at = rows.findIndex((row) => row.classList.contains("at"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    if (!next) return;
    rows.forEach((row) => row.classList.toggle("at", row === next));
    next.scrollIntoView({ block: "nearest" });
  }

  const KEYS = {
    "?": () => one("#keys").showModal(),
    "/": () => { const search = one("[data-search]"); if (search) search.focus(); else location.href = `${root}/jobs`; },
    j: () => step(1),
    k: () => step(-1),
    x: () => { const box = one("tr.at input[name=id]"); if (box) { box.checked = !box.checked; countSelected(); } },
    Enter: () => one("tr.at [data-open]")?.click(),
    n: () => { location.href = `${root}/jobs/new`; },
    t: () => one("[data-theme-switch]")?.click(),
    g: () => { going = true; setTimeout(() => { going = false; }, 1500); },
  };

  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (event.key === "Escape" && field) field.blur();
    if (field || event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const place = going && one(`[data-go="${CSS.escape(event.key)}"]`);
    going = false;
    if (place) { event.preventDefault(); place.click(); return; }
    if (Object.hasOwn(KEYS, event.key)) { event.preventDefault(); KEYS[event.key](); }
  });

  // Light or dark: as it looks now, not only as it was chosen -------------------------------------

  for (const button of all("[data-theme-switch]")) {
    const chosen = document.documentElement.dataset.theme;
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    button.form.elements.to.value = dark ? "light" : "dark";
  }

  // A file that is chosen is looked at before it is sent -------------------------------------------

  const LOOKED_AT = 65536;

  for (const input of all("input[type=file][data-preview]")) {
    input.addEventListener("change", async () => {
      const place = document.getElementById(input.dataset.preview);
      const file = input.files[0];
      place.replaceChildren();
      if (!file) return;
      const kind = input.form.elements.kind?.value || "";
      const query = new URLSearchParams({ name: file.name, size: file.size, kind });
      const headers = { "x-token": input.form.elements.token.value, "content-type": "application/octet-stream" };
      const answer = await fetch(`${root}/jobs/preview?${query}`, { method: "POST", headers, body: file.slice(0, LOOKED_AT) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("preview") || page.querySelector(".failure-message");
      if (found) place.replaceChildren(document.importNode(found, true));
    });
  }

  tellZone();
  tellTimes();
  prepare(document);
  follow();
  setInterval(tellTimes, 5000);
})();
