// Says when a part of the page could not be loaded, and loads the page again once the server answers.
//
// A page without one of its parts may be live and empty, which looks as if nothing were wrong. Not a module: it has to be
// there before the parts that may fail.
(() => {
  const AGAIN_MS = 5_000;
  let isComplete = true;

  async function loadAgain() {
    // Whoever is about to stop trading, or fills in a form, keeps what was typed.
    const isInUse = document.querySelector("dialog[open], :is(input, select, textarea):focus") !== null;
    const answers = !isInUse && (await fetch(location.href, { method: "HEAD" }).then(({ ok }) => ok, () => false));
    if (answers) location.reload();
    else setTimeout(loadAgain, AGAIN_MS);
  }

  function missed({ target }) {
    const isPart = target instanceof HTMLScriptElement || target instanceof HTMLLinkElement;
    if (!isPart || !isComplete) return;
    isComplete = false;
    document.documentElement.classList.add("incomplete");
    setTimeout(loadAgain, AGAIN_MS);
  }

  // Such an error does not bubble: only capturing hears it.
  addEventListener("error", missed, true);
})();
