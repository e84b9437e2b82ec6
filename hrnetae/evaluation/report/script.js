"use strict";
(() => {
  const root = document.documentElement;

  // Light or dark: what the system says, until the switch says otherwise.
  const theme = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // The numbers under the pointer. They also stand in the tables, for those who have none.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => {
    const target = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, root.clientWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  for (const gallery of document.querySelectorAll(".gallery")) setUpGallery(gallery);

  function setUpGallery(gallery) {
    const cards = [...gallery.querySelectorAll(".card")];
    const PAGE = 12;
    const more = gallery.querySelector(".more");
    let matching = cards;
    let most = PAGE;
    const shown = gallery.querySelector(".shown");
    const choices = [...gallery.querySelectorAll("fieldset[data-filter]")];
    gallery.querySelectorAll("fieldset").forEach((set) => { set.hidden = false; });

    const apply = () => {
      const wanted = choices.map((set) => [set.dataset.filter, set.querySelector("input:checked").value]);
      // The cards with the most of what was chosen come first.
      const ranks = (card) => (card.dataset.ranks ? JSON.parse(card.dataset.ranks) : {});
      const rank = new Map(cards.map((card, place) => {
        const chosen = wanted.map(([, value]) => ranks(card)[value]).find((number) => number !== undefined);
        return [card, [chosen || 0, place]];
      }));
      const sorted = [...cards].sort((a, b) => rank.get(b)[0] - rank.get(a)[0] || rank.get(a)[1] - rank.get(b)[1]);
      gallery.querySelector(".cards").append(...sorted);
      const fits = (card, [name, value]) => !value || (card.dataset[name] || "").split(" ").includes(value);
      matching = sorted.filter((card) => wanted.every((one) => fits(card, one)));
      const visible = new Set(matching.slice(0, most));
      cards.forEach((card) => { card.hidden = !visible.has(card); });
      more.hidden = visible.size === matching.length;
      // Beside each choice: how many cards it would show with what the other filters say. None: it cannot be chosen.
      choices.forEach((set, own) => set.querySelectorAll("input").forEach((box) => {
        const tried = wanted.map((one, place) => (place === own ? [one[0], box.value] : one));
        const count = cards.filter((card) => tried.every((one) => fits(card, one))).length;
        box.parentElement.querySelector(".count").textContent = count;
        box.disabled = !count && !box.checked;
      }));
      const fitting = matching.length === cards.length ? "" : ` (of ${cards.length} in all)`;
      shown.textContent = `${visible.size} of ${matching.length} pictures shown${fitting}`;
    };
    choices.forEach((set) => set.addEventListener("change", () => {
      most = PAGE;
      apply();
    }));
    more.addEventListener("click", () => {
      const next = matching[most];
      most += PAGE;
      apply();
      next.querySelector(".picture").focus();
    });
    gallery.querySelectorAll("input[data-layer]").forEach((box) => {
      box.addEventListener("change", () => gallery.classList.toggle(`hide-${box.dataset.layer}`, !box.checked));
    });
    gallery.addEventListener("click", (event) => {
      const picture = event.target.closest("button.picture");
      if (picture && !picture.closest("dialog")) enlarge(gallery, picture.closest(".card"), matching);
    });
    apply();
  }

  // One card large, by itself; the arrow keys go on to the next one that is shown.
  function enlarge(gallery, first, there) {
    const dialog = document.createElement("dialog");
    const holder = document.createElement("div");
    let card = first;
    const bar = document.createElement("div");
    const button = (text, label, action) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.setAttribute("aria-label", label);
      made.addEventListener("click", action);
      bar.append(made);
    };
    const go = (step) => {
      card = there[(there.indexOf(card) + step + there.length) % there.length];
      show();
    };
    bar.className = "bar-of-buttons";
    button("‹", "Previous picture", () => go(-1));
    button("›", "Next picture", () => go(1));
    button("Close", "Close", () => dialog.close());
    const show = () => {
      const copy = card.cloneNode(true);
      // A name stands once in a page; what refers to it finds it in the gallery.
      copy.querySelectorAll("[id]").forEach((named) => named.removeAttribute("id"));
      const views = copy.querySelectorAll(".picture").length;
      const across = root.clientWidth > 800 ? views : 1;
      copy.querySelectorAll("button.picture").forEach((button) => {
        const box = document.createElement("div");
        const [width, height] = button.dataset.size.split(" ").map(Number);
        const most = (root.clientWidth * 0.94) / across;
        const scale = Math.min(most / width, (window.innerHeight * 0.78) / height);
        box.className = "picture";
        box.style.width = `${Math.floor(width * scale)}px`;
        box.style.aspectRatio = `${width} / ${height}`;
        box.append(...button.childNodes);
        button.replaceWith(box);
      });
      copy.querySelectorAll("details").forEach((part) => { part.open = true; });
      holder.replaceChildren(...copy.childNodes);
      dialog.setAttribute("aria-label", card.querySelector("h3").textContent);
    };
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) go(step);
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => {
      dialog.remove();
      (card.hidden ? first : card).querySelector(".picture").focus();
    });
    dialog.append(bar, holder);
    gallery.append(dialog);
    show();
    dialog.showModal();
  }
})();
