// <sql-editor>: CodeMirror over a plain textarea, which still works where scripts do not.
import * as cm from "upend/codemirror";
import { TableIndex, catalogCompletion } from "upend/completion";
import { highlight, theme } from "upend/editor-theme";

const duckdb = cm.SQLDialect.define({
  ...cm.PostgreSQL.spec,
  keywords: `${cm.PostgreSQL.spec?.keywords ?? ""} qualify pivot unpivot exclude asof positional sample semi anti`,
});

class SqlEditor extends HTMLElement {
  connectedCallback() {
    this.textarea = this.querySelector("textarea");
    this.view = new cm.EditorView({ parent: this, state: cm.EditorState.create({ doc: this.textarea.value, extensions: this.extensions() }) });
    this.classList.add("ready");
    if (this.hasAttribute("autofocus")) this.view.focus();
  }

  extensions() {
    const nonce = document.querySelector("script[nonce]").nonce;
    const tree = JSON.parse(document.getElementById("completion-tables").textContent);
    const tables = new TableIndex(tree, document.getElementById("completion-more")?.dataset.address);
    const words = cm.keywordCompletionSource(duckdb, true);
    return [
      cm.EditorView.cspNonce.of(nonce),
      cm.lineNumbers(),
      cm.history(),
      cm.drawSelection(),
      cm.highlightActiveLine(),
      cm.highlightActiveLineGutter(),
      cm.bracketMatching(),
      cm.closeBrackets(),
      cm.indentOnInput(),
      cm.highlightSelectionMatches(),
      cm.placeholder("SELECT … FROM a table on the left. ⌘↵ runs it."),
      cm.autocompletion({ override: [catalogCompletion(tables), words], icons: false }),
      cm.sql({ dialect: duckdb, upperCaseKeywords: true }).language,
      cm.syntaxHighlighting(highlight),
      theme,
      cm.EditorView.lineWrapping,
      cm.EditorView.contentAttributes.of({ "aria-label": "SQL" }),
      cm.Prec.highest(cm.keymap.of([{ key: "Mod-Enter", run: () => this.announce("query:run") }])),
      cm.keymap.of([...cm.closeBracketsKeymap, ...cm.defaultKeymap, ...cm.historyKeymap, ...cm.searchKeymap, ...cm.completionKeymap]),
      cm.EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        this.textarea.value = update.state.doc.toString();
        this.announce("sql:changed");
      }),
    ];
  }

  announce(name) {
    this.dispatchEvent(new Event(name, { bubbles: true }));
    return true;
  }

  get value() {
    return this.textarea.value;
  }

  set value(text) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  /** Put `text` where the caret is. */
  insert(text) {
    this.view.dispatch(this.view.state.replaceSelection(text));
    this.view.focus();
  }

  /** Underline the place a refusal is about, from 1; without one, take the underline away. */
  mark(line, column, message) {
    const { doc } = this.view.state;
    const marks = [];
    if (line >= 1 && line <= doc.lines && doc.length) {
      const { from, to } = doc.line(line);
      const start = Math.min(from + Math.max(0, column - 1), Math.max(from, to - 1));
      const word = doc.sliceString(start, to).match(/^[\w$."]*/)[0].length;
      marks.push({ from: start, to: Math.min(doc.length, start + Math.max(1, word)), severity: "error", message });
    }
    this.view.dispatch(cm.setDiagnostics(this.view.state, marks));
  }
}
customElements.define("sql-editor", SqlEditor);
