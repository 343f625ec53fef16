"use strict";
// The list of runs: sorted, filtered, searched and grouped in memory; the table holds the rows that are looked at.
{
  const section = document.querySelector("#board"), data = JSON.parse(document.querySelector("#board-data").textContent);
  const form = section.querySelector("form"), table = section.querySelector(".board table"), status = section.querySelector(".status");
  const more = section.querySelector(".more"), keys = data.keys, columns = data.columns, FEW = 12;
  const isNumber = text => text !== "" && Number.isFinite(Number(text));
  const runs = data.rows.map(([settings, numbers, state, why, name, link]) =>
    ({ settings, numbers, state, why, name, link: link === 0 ? name : link, text: [...settings, state, why, name].join(" ").toLowerCase() }));
  // a column: its title, the value of a row (number, text or null), how it is shown, whether the first click puts the largest first
  const ofKeys = keys.map((key, i) => {
    const numeric = runs.every(run => run.settings[i] === "" || isNumber(run.settings[i]));
    return { title: key, index: i, of: run => run.settings[i] === "" ? null : numeric ? Number(run.settings[i]) : run.settings[i], text: run => run.settings[i] || "–" };
  });
  const ofNumbers = columns.map((column, i) => ({ title: column.title, number: true, largest: column.lower === false, of: run => run.numbers[i], text: run => shown(run.numbers[i], column.decimals) }));
  const ofRuns = [ofNumbers[0], ...ofKeys, ...ofNumbers.slice(1), { title: "state", of: run => run.state, text: run => run.state, below: run => run.why }, { title: "folder", of: run => run.name, text: run => run.name, link: run => run.link }];
  let sorted = { title: columns[0].title, down: columns[0].lower === false }, limit = data.step, filters = new Map(), listed = [], head = ofRuns;

  function shown(value, decimals) {
    return value === null || !Number.isFinite(value) ? "–" : value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
  }

  // what a filter's text asks for -> whether a value meets it
  function test(text, exact) {
    const asked = text.trim(), range = asked.match(/^(.+?)\.\.(.+)$/), bound = asked.match(/^(>=|<=|>|<|=)\s*(.+)$/);
    if (range && isNumber(range[1]) && isNumber(range[2])) return value => isNumber(value) && Number(value) >= Number(range[1]) && Number(value) <= Number(range[2]);
    if (bound && isNumber(bound[2])) {
      const limit = Number(bound[2]), compare = { ">": v => v > limit, "<": v => v < limit, ">=": v => v >= limit, "<=": v => v <= limit, "=": v => v === limit }[bound[1]];
      return value => isNumber(value) && compare(Number(value));
    }
    const low = asked.toLowerCase();
    return exact ? value => value.toLowerCase() === low || (isNumber(value) && isNumber(low) && Number(value) === Number(low)) : value => value.toLowerCase().includes(low);
  }

  function chosen() {
    const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const asked = [...filters].map(([i, text]) => {
      const values = new Set(runs.map(run => run.settings[i])), low = text.trim().toLowerCase();
      return [i, text === "\u0000" ? value => value === "" : test(text, [...values].some(value => value.toLowerCase() === low))];
    });
    return runs.filter(run => words.every(word => run.text.includes(word)) && asked.every(([i, meets]) => meets(run.settings[i])));
  }

  function mean(values) { return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null; }
  function deviation(values) {
    const middle = mean(values);
    return values.length < 2 ? null : Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
  }

  // runs with the same values of these keys, with the mean and the standard deviation of each number over the finished ones
  function grouped(rows, by) {
    const groups = new Map();
    for (const run of rows) {
      const name = by.map(i => run.settings[i]).join("\u0000");
      if (!groups.has(name)) groups.set(name, { settings: run.settings, runs: [] });
      groups.get(name).runs.push(run);
    }
    const made = [...groups.values()];
    for (const group of made) {
      const ended = group.runs.filter(run => run.state === "finished");
      const values = columns.map((_, i) => ended.map(run => run.numbers[i]).filter(value => value !== null));
      group.numbers = values.map(mean);
      group.spreads = values.map(deviation);
      group.count = values[0].length;
    }
    return made;
  }

  function groupHead(by) {
    const numbers = columns.map((column, i) => ({ ...ofNumbers[i], title: i ? column.title : `mean ${column.title}`,
      text: group => shown(group.numbers[i], column.decimals) + (group.spreads[i] === null ? "" : ` ± ${shown(group.spreads[i], column.decimals)}`) }));
    return [numbers[0], ...by.map(i => ofKeys[i]), { title: "runs", number: true, largest: true, of: group => group.count, text: group => group.count === group.runs.length ? `${group.count}` : `${group.count} of ${group.runs.length}` }, ...numbers.slice(1)];
  }

  function sort(rows) {
    const column = head.find(entry => entry.title === sorted.title);
    if (!column) return rows;
    const sign = sorted.down ? -1 : 1;
    const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    const pairs = rows.map(row => [column.of(row), row]);
    pairs.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)); // what is missing stands last
    return pairs.map(([, row]) => row);
  }

  function cell(tag, text) { const made = document.createElement(tag); made.textContent = text; return made; }

  function drawHead() {
    const row = document.createElement("tr");
    for (const column of head) {
      const th = cell("th", ""), button = cell("button", column.title);
      th.scope = "col";
      th.className = column.number ? "number" : "";
      button.type = "button";
      if (column.title === sorted.title) th.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      button.addEventListener("click", () => {
        sorted = { title: column.title, down: column.title === sorted.title ? !sorted.down : !!column.largest };
        draw();
        [...table.tHead.querySelectorAll("button")].find(other => other.textContent === column.title).focus();
      });
      th.append(button);
      row.append(th);
    }
    table.tHead.replaceChildren(row);
  }

  function drawRows() {
    const body = document.createDocumentFragment();
    for (const entry of listed.slice(0, limit)) {
      const row = document.createElement("tr");
      for (const column of head) {
        const td = cell("td", column.link ? "" : column.text(entry));
        if (column.number) td.className = "number";
        if (column.below && column.below(entry)) td.append(cell("small", column.below(entry)));
        if (column.link) {
          const link = cell(column.link(entry) ? "a" : "span", column.text(entry));
          if (column.link(entry)) link.href = `${encodeURIComponent(column.link(entry)).replaceAll("%2F", "/")}/`;
          td.append(link);
        }
        row.append(td);
      }
      body.append(row);
    }
    table.tBodies[0].replaceChildren(body);
    more.hidden = listed.length <= limit;
  }

  function draw() {
    const rows = chosen(), group = form.elements.group.value;
    const by = group === "" ? null : group === "settings" ? keys.map((_, i) => i).filter(i => !data.replicates[i]) : [Number(group)];
    head = by ? groupHead(by) : ofRuns;
    if (!head.some(column => column.title === sorted.title)) sorted = { title: head[0].title, down: columns[0].lower === false };
    listed = sort(by ? grouped(rows, by) : rows);
    drawHead();
    drawRows();
    const values = rows.filter(run => run.state === "finished").map(run => run.numbers[0]).filter(value => value !== null), spread = deviation(values);
    const about = values.length ? `; mean ${columns[0].title} ${shown(mean(values), 3)}${spread === null ? "" : ` ± ${shown(spread, 3)} (standard deviation)`}` : "";
    status.textContent = `${rows.length.toLocaleString("en")} of ${runs.length.toLocaleString("en")} runs${by ? ` in ${listed.length.toLocaleString("en")} groups` : ""}${about}`;
  }

  function csv() {
    const quoted = text => {
      const safe = /^'*[=+\-@\t\r\n]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? `'${text}` : text; // no spreadsheet computes it
      return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const plain = (column, entry) => { const value = column.of(entry); return value === null || value === undefined ? "" : String(value); };
    const lines = [head.map(column => quoted(column.title)), ...listed.map(entry => head.map(column => quoted(plain(column, entry))))];
    return lines.map(line => line.join(",")).join("\r\n") + "\r\n";
  }

  const fields = form.querySelector(".fields"), select = form.elements.group;
  if (data.replicates.some(Boolean) && !data.replicates.every(Boolean)) select.append(new Option("all settings but the seed", "settings"));
  keys.forEach((key, i) => {
    select.append(new Option(key, i));
    const values = [...new Set(runs.map(run => run.settings[i]))], label = cell("label", key);
    const field = document.createElement(values.length <= FEW ? "select" : "input");
    if (values.length <= FEW) {
      values.sort((a, b) => isNumber(a) && isNumber(b) ? a - b : a.localeCompare(b));
      field.append(new Option("all", ""), ...values.map(value => new Option(value || "–", value || "\u0000")));
    } else field.placeholder = ofKeys[i].of(runs[0]) !== null && typeof ofKeys[i].of(runs[0]) === "number" ? "0.01..0.1" : "part of it";
    field.dataset.key = key;
    field.addEventListener("input", () => {
      if (field.value === "") filters.delete(i); else filters.set(i, field.value);
      limit = data.step;
      draw();
    });
    label.append(field);
    fields.append(label);
  });
  form.elements.search.addEventListener("input", () => { limit = data.step; draw(); });
  select.addEventListener("input", () => { limit = data.step; draw(); });
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { filters = new Map(); limit = data.step; draw(); }));
  form.elements.csv.addEventListener("click", () => {
    const link = document.createElement("a"), address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.href = address;
    link.download = "runs.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  more.querySelector("[name=more]").addEventListener("click", () => { limit += 4 * data.step; drawRows(); });
  more.querySelector("[name=all]").addEventListener("click", () => { limit = Infinity; drawRows(); });
  form.hidden = false;
  draw();
}
