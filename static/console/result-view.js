// <result-view>: one query from submission to rows, the same whatever place does the work.
import { Problem, call } from "upend/api";
import { bytes, inLine, plural, seconds } from "upend/format";
import { el, icon, placeBadge, problemNotice, toast } from "upend/dom";
import { exportResult } from "upend/export";
import { follow, isFinal } from "upend/follow";
import { ResultChart } from "upend/result-chart";
import { PAGE_ROWS, ResultTable } from "upend/result-table";

const SPOKEN_EVERY = 10; // seconds between progress reports to a screen reader
const FORMATS = [["csv", "CSV"], ["parquet", "Parquet"], ["arrow", "Arrow"], ["json", "JSON"]];
const SKELETON_AFTER = 300;

class ResultView extends HTMLElement {
  connectedCallback() {
    this.mode ??= "both";
    this.head = el("div", { class: "res-head" });
    this.bar = el("div", { class: "res-progress" });
    this.body = el("div", { class: "res-body", "data-mode": "message" });
    this.invitation = [...this.children];
    this.replaceChildren(this.head, this.bar, this.body);
    this.body.append(...this.invitation);
    this.addEventListener("page:failed", (event) => toast(event.detail.message));
    document.addEventListener("theme:changed", () => this.chart?.draw());
    if (this.dataset.query) this.show(this.dataset.query);
  }

  get api() {
    return this.dataset.api;
  }

  get isRunning() {
    return Boolean(this.query && !isFinal(this.query));
  }

  /** Submit `request`, then follow it. The key makes a repeated submission the same query. */
  async run(request) {
    const turn = this.begin();
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    try {
      const query = await call("POST", `${this.api}queries`, { json: request, headers });
      if (turn !== this.turn) return;
      this.adopt(query);
      await this.follow(turn);
    } catch (error) {
      this.fail(error, turn);
    }
  }

  /** Show a query that exists, following it where it still runs. */
  async show(id) {
    const turn = this.begin();
    try {
      this.adopt(await call("GET", `${this.api}queries/${id}`));
      await this.follow(turn);
    } catch (error) {
      this.fail(error, turn);
    }
  }

  /** Ask for the end of the running query; what it says next is shown as usual. */
  async cancel() {
    if (!this.isRunning) return;
    try {
      await call("POST", `${this.api}queries/${this.query.id}/cancel`, { json: {} });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      toast(error.message);
    }
  }

  begin() {
    this.turn = (this.turn ?? 0) + 1;
    this.following?.abort();
    this.query = null;
    this.chart?.dispose();
    this.chart = this.table = null;
    this.head.replaceChildren();
    this.message();
    const turn = this.turn;
    setTimeout(() => {
      if (turn !== this.turn || this.body.childElementCount) return;
      this.message(el("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 9 }, () => el("i"))));
    }, SKELETON_AFTER);
    return turn;
  }

  adopt(query) {
    const isNew = this.query?.id !== query.id;
    this.query = query;
    if (isNew) this.dispatchEvent(new CustomEvent("query:adopted", { bubbles: true, detail: query }));
  }

  async follow(turn) {
    if (this.isRunning) {
      const { notice, progress, attempts, state, queue } = this.query;
      this.following = new AbortController();
      this.step({ state, attempts, queue, ...progress });
      const clock = setInterval(() => this.drawProgress(), 1000);
      const watcher = {
        onStep: (step) => this.step(step),
        onSilence: () => {
          this.standing.isSilent = true;
          this.drawProgress();
        },
        signal: this.following.signal,
      };
      try {
        const ended = await follow(`${this.api}queries/${this.query.id}`, watcher);
        if (turn !== this.turn || !ended) return;
        this.query = { ...ended, notice };
      } finally {
        clearInterval(clock);
      }
    }
    if (turn !== this.turn) return;
    this.bar.replaceChildren();
    this.dispatchEvent(new CustomEvent("query:finished", { bubbles: true, detail: this.query }));
    if (this.query.state === "succeeded") await this.drawResult(turn);
    else this.drawEnd();
  }

  /** Take where the query stands; the clock goes on by itself between steps. */
  step(step) {
    const elapsed = step.elapsed_seconds ?? (Date.now() - Date.parse(this.query.started_at ?? this.query.created_at)) / 1000;
    this.query.state = step.state;
    this.standing = { ...step, since: performance.now() - Math.max(0, elapsed) * 1000 };
    this.drawProgress();
  }

  fail(error, turn) {
    if (turn !== this.turn) return;
    if (!(error instanceof Problem)) throw error;
    this.bar.replaceChildren();
    this.head.replaceChildren();
    const again = this.query && error.document.status === 410 ? this.againButton("Run it again") : null;
    this.message(this.notice(error.document, again));
  }

  notice(problem, ...actions) {
    const inset = el("div", { class: "elsewhere" });
    inset.append(problemNotice(problem, ...actions.filter(Boolean)));
    return inset;
  }

  againButton(text) {
    return el("button", { class: "btn small", type: "button", onclick: () => this.announce("query:run") }, icon("refresh-cw"), text);
  }

  announce(name) {
    this.dispatchEvent(new Event(name, { bubbles: true }));
  }

  message(...nodes) {
    this.body.dataset.mode = "message";
    this.body.replaceChildren(...nodes);
  }

  status(text) {
    const line = this.head.querySelector("[role=status]");
    if (line) line.textContent = text;
  }

  drawProgress() {
    const { place, notice } = this.query;
    const { state, percent = 0, rows = 0, bytes: size = 0, bytes_read: read, attempts = 0, since, isSilent, queue } = this.standing;
    const elapsed = (performance.now() - since) / 1000;
    if (!this.head.querySelector("progress, .stop")) {
      this.head.replaceChildren(
        placeBadge(place, place === "local" ? "On a machine" : "On the server"),
        el("span", { class: "meta running", "aria-hidden": "true" }),
        el("span", { class: "spoken", role: "status", "aria-live": "polite" }),
        el("span", { class: "spacer" }),
        el("button", { class: "btn small stop", type: "button", onclick: () => this.cancel() }, icon("square"), "Cancel", el("kbd", {}, "esc")),
      );
      this.bar.replaceChildren(el("progress", { class: "busy", max: "100", "aria-label": "Progress of the query" }));
      this.spoken = null;
    }
    if (percent > 0) this.bar.firstChild.value = percent;
    const words = { queued: "Queued", running: "Running", delegated: "Waiting for the device to report back", preparing: "Preparing an extract for the device" };
    const facts = [isSilent ? "Upend does not answer; the query goes on and this page keeps looking" : (words[state] ?? state)];
    if (queue) facts.push(inLine(queue));
    if (percent > 0) facts.push(`${Math.floor(percent)}%`);
    if (read) facts.push(`${bytes(read)} read`);
    if (rows) facts.push(plural(rows, "row"));
    if (size) facts.push(`${bytes(size)} of result`);
    facts.push(`${Math.floor(elapsed)} s`);
    if (notice) facts.push(notice);
    if (attempts > 1) facts.push(`attempt ${attempts}`);
    this.head.querySelector(".running").replaceChildren(...facts.map((fact) => el("span", {}, fact)));
    if (this.spoken?.fact === facts[0] && elapsed - this.spoken.elapsed < SPOKEN_EVERY) return;
    this.spoken = { fact: facts[0], elapsed };
    this.status(facts.join(", "));
  }

  drawEnd() {
    const { state } = this.query;
    const problem = this.query.problem && { ...this.query.problem, engine_error: this.query.engine_error };
    this.head.replaceChildren();
    const cancelled = { title: "Cancelled", detail: "The query was stopped; nothing was kept.", hint: "" };
    this.message(this.notice(state === "cancelled" ? cancelled : (problem ?? { title: "The query failed" }), this.againButton("Run again")));
  }

  async drawResult(turn) {
    const page = await this.page(0);
    if (turn !== this.turn) return;
    const { columns, row_count: rowCount } = page;
    this.table = new ResultTable({ columns, rowCount, firstPage: page.rows, load: async (offset) => (await this.page(offset)).rows });
    this.chart = new ResultChart({ columns, rows: page.rows, rowCount });
    this.drawHead(page);
    this.drawBody();
  }

  page(offset) {
    return call("GET", `${this.api}queries/${this.query.id}/result?format=json&offset=${offset}&limit=${PAGE_ROWS}`);
  }

  modes() {
    return this.chart.choice ? ["both", "table", "chart", "plan"] : ["table", "plan"];
  }

  drawHead(page) {
    const { query } = this;
    const names = { both: "Both", table: "Table", chart: "Chart", plan: "Plan" };
    const tabs = this.modes().map((mode) => el("button", { type: "button", role: "tab", "data-mode": mode, onclick: () => this.setMode(mode) }, names[mode]));
    const pins = Object.entries(query.plan?.snapshots ?? {}).map(([name, id]) => (Object.keys(query.plan.snapshots).length > 1 ? `${name} ${id}` : `snapshot ${id}`));
    const run = query.cached ? ["from cache"] : [seconds(query.engine_seconds ?? 0), `${bytes(query.bytes_read ?? 0)} read`];
    const facts = [plural(page.row_count, "row"), ...run];
    const cut = page.truncated ? [el("span", { class: "tag bad", title: "The workspace's limit for results was reached: there are more rows than these." }, "cut at the limit")] : [];
    this.head.replaceChildren(
      el("div", { class: "tabs", role: "tablist", "aria-label": "View of the result" }, ...tabs),
      el("span", { class: "spacer" }),
      el("span", { class: "meta", role: "status" }, placeBadge(query.place, query.place === "local" ? "Ran on a machine" : "Ran on the server"), ...facts.map((fact, at) => el("span", { class: at === 2 ? "wide" : false }, fact)), ...cut, el("span", { class: "wide" }, pins.join(", "))),
      ...(query.cached ? [this.anewButton()] : []),
      el("button", { class: "btn quiet", type: "button", "aria-label": "Copy the permalink", "data-text": new URL(this.dataset.pages.replace("QUERY", query.id), location.href).href }, icon("link-2"), el("span", { class: "t" }, "Permalink")),
      el("button", { class: "btn quiet", type: "button", id: "export-button", "aria-label": "Export", popovertarget: "export-menu" }, icon("download"), el("span", { class: "t" }, "Export")),
      el("div", { class: "pop menu", id: "export-menu", popover: "auto" }, ...FORMATS.map(([format, name]) => this.exportButton(format, name))),
    );
  }

  /** A cached answer is exact; who wants to see it computed may. */
  anewButton() {
    const request = { sql: this.query.sql, place: "server", cache: false };
    return el("button", { class: "btn quiet", type: "button", "aria-label": "Run anew", title: `These rows were computed by an equal query on the same data, ${new Date(this.query.cached.at).toLocaleString()}`, onclick: () => this.run(request) }, icon("refresh-cw"), el("span", { class: "t" }, "Run anew"));
  }

  exportButton(format, name) {
    const { id } = this.query;
    const take = async (event) => {
      event.target.closest("[popover]").hidePopover();
      try {
        await exportResult(`${this.api}queries/${id}/result`, format, `upend-${id.slice(0, 8)}.${format}`);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        toast(error.message);
      }
    };
    return el("button", { type: "button", onclick: take }, icon("file"), name);
  }

  setMode(mode) {
    this.mode = mode;
    this.drawBody();
  }

  drawBody() {
    const mode = this.modes().includes(this.mode) ? this.mode : "table";
    for (const tab of this.head.querySelectorAll("[role=tab]")) tab.setAttribute("aria-selected", String(tab.dataset.mode === mode));
    this.body.dataset.mode = mode;
    if (mode === "plan") {
      this.drawPlan();
      return;
    }
    const parts = { both: [this.table.element, this.chart.element], table: [this.table.element], chart: [this.chart.element] }[mode];
    this.body.replaceChildren(...parts);
    if (mode !== "chart") this.table.draw();
    if (mode !== "table") this.chart.draw();
    if (!this.query.row_count) this.body.replaceChildren(el("div", { class: "empty" }, el("h3", {}, "No rows"), el("p", {}, `The query ran and nothing matched. It read ${bytes(this.query.bytes_read ?? 0)}.`)));
  }

  async drawPlan() {
    const shown = this.query.id;
    const response = await fetch(`${this.dataset.pages.replace("QUERY", shown)}/plan`, { headers: { "HX-Request": "true" } });
    if (this.query.id !== shown || this.body.dataset.mode !== "plan") return;
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    this.body.replaceChildren(...parsed.body.childNodes);
  }

  /** Put something in the place of rows, such as the way to run elsewhere. */
  instead(...nodes) {
    this.begin();
    this.message(...nodes);
  }
}
customElements.define("result-view", ResultView);

