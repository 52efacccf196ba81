// The part of CodeMirror 6 that static/console/sql-editor.js uses.
export { Compartment, EditorState, Prec } from "@codemirror/state";
export {
  Decoration,
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
export { defaultKeymap, history, historyKeymap, indentWithTab, toggleComment } from "@codemirror/commands";
export { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
export { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
export { PostgreSQL, SQLDialect, sql } from "@codemirror/lang-sql";
export { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
export { setDiagnostics } from "@codemirror/lint";
export { tags } from "@lezer/highlight";
