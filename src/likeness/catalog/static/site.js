// Search as you type, and buttons that copy. Everything else works without scripts.
"use strict";
(() => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(document.getElementById(button.dataset.copy));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        document.execCommand("copy");
      }
      const before = button.innerHTML;
      button.textContent = "Copied";
      setTimeout(() => { button.innerHTML = before; }, 1500);
    });
  }

  const form = document.querySelector("form[data-root]");
  const field = document.getElementById("q");
  const found = document.getElementById("found");
  if (!form || !field || !found) return;
  const isServed = form.action.endsWith("/search");
  let index = null;
  let asked = false;

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  const load = () => {
    if (asked || isServed) return;
    asked = true;
    const script = document.createElement("script");
    script.src = form.dataset.root + "search.js";
    script.addEventListener("load", () => {
      index = window.likenessIndex.map(([title, address, words]) => [title, address, plain(title), plain(words)]);
      show();
    });
    document.head.append(script);
  };

  const worth = (row, words) => {
    let sum = 0;
    for (const word of words) {
      const inTitle = row[2].indexOf(word);
      if (inTitle === 0) sum += 4;
      else if (inTitle > 0) sum += 3;
      else if (row[3].includes(word)) sum += 1;
      else return 0;
    }
    return sum;
  };

  const askServer = async (query) => {
    const answer = await fetch("/search.json?" + new URLSearchParams({ q: query }));
    const told = answer.ok ? await answer.json() : { entries: [] };
    if (field.value === query) list(told.entries.map((one) => [one.title, one.url]), told.total || 0);
  };

  const show = () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    if (!words.length) { found.replaceChildren(); return; }
    if (isServed) { askServer(field.value); return; }
    if (!index) return;
    const best = index.map((row, place) => [worth(row, words), place, row]).filter(([sum]) => sum > 0);
    best.sort((one, other) => other[0] - one[0] || one[1] - other[1]);
    list(best.slice(0, 12).map(([, , row]) => row), best.length);
  };

  const list = (rows, total) => {
    found.replaceChildren();
    if (!rows.length) {
      const none = document.createElement("p");
      none.textContent = "Nothing found";
      found.append(none);
      return;
    }
    const items = document.createElement("ul");
    items.setAttribute("aria-label", total + " found");
    for (const [title, address] of rows.slice(0, 12)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = form.dataset.root + address;
      link.textContent = title;
      item.append(link);
      items.append(item);
    }
    found.append(items);
  };

  field.addEventListener("focus", load);
  field.addEventListener("input", () => { load(); show(); });
  field.addEventListener("keydown", (event) => { if (event.key === "Escape") found.replaceChildren(); });
  form.addEventListener("submit", (event) => {
    const first = found.querySelector("a");
    if (first && !isServed) { event.preventDefault(); first.click(); }
  });
  const query = new URLSearchParams(location.search).get("q");
  if (query && !field.value) { field.value = query; load(); }
})();
