// Dark, light, or as the system has it; kept in this browser. theme.js puts it in force before the page is drawn.

import { find, put, say } from "./dom.js";

const NEXT = { system: "dark", dark: "light", light: "system" };
const WORDS = { system: "as the system", dark: "dark", light: "light" };

export function startTheme() {
  const button = find("#theme-switch");
  const root = document.documentElement;
  let theme = root.dataset.theme ?? "system";
  const draw = () => say(button, `Theme: ${WORDS[theme]}`);
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    put(root, "data-theme", theme === "system" ? null : theme);
    try {
      if (theme === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch {
      // Storage is switched off: it lasts as long as the page.
    }
    draw();
    document.dispatchEvent(new Event("theme"));
  });
  draw();
}
