// What Unfold leaves to the mouse and to the eye: for the keyboard, and for who listens to a page.

const pressable = "a:not([href]), :is(div, span)[x-on\\:click]";

function press(event) {
  const found = event.target.closest(pressable);
  if (found && found === event.target && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    found.click();
  }
}

function makePressable(found) {
  found.setAttribute("role", "button");
  found.tabIndex = 0;
}

// An icon is a word in a font of its own, which nobody wants to hear before the text beside it.
function hideIcon(icon) {
  if (icon.parentElement.textContent.trim() !== icon.textContent.trim()) {
    icon.setAttribute("aria-hidden", "true");
  }
}

// Select2 names its box by what is chosen, and not by its label.
function nameSelect(select) {
  const label = document.querySelector(`label[for="${select.id}"]`);
  for (const part of select.parentElement.querySelectorAll(".select2-selection, .select2-selection__rendered")) {
    part.removeAttribute("aria-labelledby");
    part.setAttribute("aria-label", label ? label.textContent.replace("*", "").trim() : select.name);
  }
}

// Unfold shows the name of a chosen file in a box of its own, and breaks where there is none.
function keepFromUnfold(event) {
  if (event.target.matches("#import input[type=file]")) event.stopPropagation();
}

function complete() {
  document.getElementById("main")?.setAttribute("role", "main");
  document.querySelectorAll(pressable).forEach(makePressable);
  document.querySelectorAll(".material-symbols-outlined").forEach(hideIcon);
  document.querySelectorAll("select.select2-hidden-accessible").forEach(nameSelect);
  document.querySelectorAll(".simplebar-content-wrapper").forEach((found) => {
    found.setAttribute("aria-label", found.closest("#nav-sidebar") ? "Side bar, scrollable" : "Table, scrollable");
  });
}

document.addEventListener("keydown", press);
document.addEventListener("change", keepFromUnfold, true);
// After the others, which make their parts as the page is loaded.
window.addEventListener("load", () => setTimeout(complete));
