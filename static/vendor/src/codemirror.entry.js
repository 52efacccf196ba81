// The part of CodeMirror 6 that static/console/sql-editor.js uses.
export { EditorState, Prec } from "@codemirror/state";
export {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
export { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
export { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
export { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
export { PostgreSQL, SQLDialect, keywordCompletionSource, sql } from "@codemirror/lang-sql";
export { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
export { setDiagnostics } from "@codemirror/lint";
export { tags } from "@lezer/highlight";
