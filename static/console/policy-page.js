// The page of a policy: the text editor, marks where the check found something, and the keyboard.
import * as cm from "upend/codemirror";
import { theme } from "upend/editor-theme";

class PolicyText extends HTMLElement {
  connectedCallback() {
    this.textarea = this.querySelector("textarea");
    if (!this.textarea || this.view) return;
    this.view = new cm.EditorView({ parent: this, state: cm.EditorState.create({ doc: this.textarea.value, extensions: this.extensions() }) });
    this.classList.add("ready");
  }

  extensions() {
    return [
      cm.EditorView.cspNonce.of(document.querySelector("script[nonce]").nonce),
      cm.lineNumbers(),
      cm.history(),
      cm.drawSelection(),
      cm.highlightActiveLine(),
      cm.highlightActiveLineGutter(),
      cm.bracketMatching(),
      cm.closeBrackets(),
      cm.highlightSelectionMatches(),
      theme,
      cm.EditorView.lineWrapping,
      cm.EditorView.contentAttributes.of({ "aria-label": "Text of the policy" }),
      cm.keymap.of([...cm.closeBracketsKeymap, ...cm.defaultKeymap, ...cm.historyKeymap, ...cm.searchKeymap]),
      cm.EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        this.textarea.value = update.state.doc.toString();
        this.textarea.dispatchEvent(new Event("input", { bubbles: true }));
      }),
    ];
  }

  /** Underline each place, counted from 1, that a finding is about. */
  mark(findings) {
    const { doc } = this.view.state;
    const marks = findings.flatMap(({ line, column, message, severity }) => {
      if (line < 1 || line > doc.lines || !doc.length) return [];
      const { from, to } = doc.line(line);
      const start = Math.min(from + Math.max(0, column - 1), Math.max(from, to - 1));
      const word = doc.sliceString(start, to).match(/^[\w$."-]*/)[0].length;
      return [{ from: start, to: Math.min(doc.length, start + Math.max(1, word)), severity, message }];
    });
    this.view.dispatch(cm.setDiagnostics(this.view.state, marks.sort((a, b) => a.from - b.from)));
  }

  /** Put the caret where a finding is. */
  goTo(line, column) {
    const found = this.view.state.doc.line(Math.min(Math.max(1, line), this.view.state.doc.lines));
    this.view.dispatch({ selection: { anchor: Math.min(found.to, found.from + column - 1) }, scrollIntoView: true });
    this.view.focus();
  }
}
customElements.define("policy-text", PolicyText);

const place = (item) => ({ line: Number(item.dataset.line), column: Number(item.dataset.column) });

function markFindings() {
  const items = [...document.querySelectorAll("#findings [data-line]")];
  const findings = items.map((item) => ({ ...place(item), message: item.querySelector("b").textContent, severity: item.className }));
  document.querySelector("policy-text")?.mark(findings);
}

// What was unfolded stays so when the check answers again.
let unfolded = false;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id === "verdict") unfolded = event.target.querySelector(".compared")?.open ?? unfolded;
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "verdict") return;
  markFindings();
  const compared = event.target.querySelector(".compared");
  if (compared) compared.open = unfolded;
});
document.addEventListener("click", (event) => {
  const finding = event.target.closest("#findings [data-line]");
  if (finding) document.querySelector("policy-text")?.goTo(place(finding).line, place(finding).column);
});
document.getElementById("editor")?.addEventListener("submit", (event) => event.preventDefault());

// Enter takes the first suggestion, or the dialog's main step.
addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "s") {
    event.preventDefault();
    document.querySelector("[data-save]")?.click();
  }
  if (event.key !== "Enter" || !event.target.matches?.("input")) return;
  const list = event.target.dataset.pick && document.getElementById(event.target.dataset.pick);
  const target = list ? list.querySelector("button") : event.target.closest("dialog")?.querySelector(".btn.primary:not(:disabled)");
  if (!list && !event.target.closest("dialog")) return;
  event.preventDefault();
  target?.click();
});
document.addEventListener("change", (event) => {
  const enabled = event.target.dataset?.enables;
  if (enabled) document.getElementById(enabled).disabled = !event.target.checked;
});
