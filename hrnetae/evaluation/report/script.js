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
    const shown = gallery.querySelector(".shown");
    const choices = [...gallery.querySelectorAll("fieldset[data-filter]")];
    gallery.querySelectorAll("fieldset").forEach((set) => { set.hidden = false; });

    const apply = () => {
      const wanted = choices.map((set) => [set.dataset.filter, set.querySelector("input:checked").value]);
      let count = 0;
      for (const card of cards) {
        const fits = wanted.every(([name, value]) => !value || card.dataset[name].split(" ").includes(value));
        card.hidden = !fits;
        count += fits ? 1 : 0;
      }
      shown.textContent = `${count} of ${cards.length} pictures`;
    };
    choices.forEach((set) => set.addEventListener("change", apply));
    gallery.querySelectorAll("input[data-layer]").forEach((box) => {
      box.addEventListener("change", () => gallery.classList.toggle(`hide-${box.dataset.layer}`, !box.checked));
    });
    gallery.addEventListener("click", (event) => {
      const picture = event.target.closest("button.picture");
      if (picture && !picture.closest("dialog")) enlarge(gallery, picture.closest(".card"));
    });
    apply();
  }

  // One card large, by itself; the arrow keys go on to the next one that is shown.
  function enlarge(gallery, first) {
    const dialog = document.createElement("dialog");
    const close = document.createElement("button");
    const holder = document.createElement("div");
    let card = first;
    close.type = "button";
    close.className = "close";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    const show = () => {
      const copy = card.cloneNode(true);
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
      holder.replaceChildren(...copy.childNodes);
      dialog.setAttribute("aria-label", card.querySelector("h3").textContent);
    };
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const there = [...gallery.querySelectorAll(".card:not([hidden])")];
      card = there[(there.indexOf(card) + step + there.length) % there.length];
      show();
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => {
      dialog.remove();
      card.querySelector(".picture").focus();
    });
    dialog.append(close, holder);
    gallery.append(dialog);
    show();
    dialog.showModal();
  }
})();
