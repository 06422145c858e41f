import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/*.bundle.js", ".*/", "build/", "data-catalog/**/static/", "**/share/"] },
  js.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, OpenSeadragon: "readonly" } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error", "no-shadow": "error" },
  },
  { files: ["eslint.config.js", "tests/**"], languageOptions: { globals: globals.node } },
];
