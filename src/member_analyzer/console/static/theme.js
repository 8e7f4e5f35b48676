// The light or dark theme: the stored choice, otherwise the preference of the system. Not a module, so that it runs
// before the first paint.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function readStored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // Storage may be blocked; the choice then lasts until the page is closed.
    }
  }

  function store(theme) {
    try {
      localStorage.setItem("theme", theme);
    } catch {
      return;
    }
  }

  function apply(theme) {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.textContent = theme === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", theme === "dark" ? "Light theme" : "Dark theme");
    }
    document.dispatchEvent(new Event("themechange"));
  }

  const current = () => readStored() ?? (system.matches ? "dark" : "light");

  apply(current());
  system.addEventListener("change", () => apply(current()));
  document.addEventListener("DOMContentLoaded", () => apply(current()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    store(theme);
    apply(theme);
  });
})();
