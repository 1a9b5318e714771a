"use strict";
// Tables sort by the buttons in their heads, and long ones begin short. Without this script they show everything, in the order given.
(() => {
  const AT_FIRST = 10;
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  const valueOf = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };

  const sort = (table, place, isDescending) => {
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, place), row]);
    rows.sort(([a], [b]) => {
      const order = typeof a === "number" && typeof b === "number" ? a - b : compare(String(a), String(b));
      return isDescending ? -order : order;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  const shorten = (table) => {
    const all = table.tBodies[0].rows;
    if (all.length <= AT_FIRST + 2) return () => {};
    const button = document.createElement("button");
    let isShort = true;
    const show = () => {
      [...all].forEach((row, place) => { row.hidden = isShort && place >= AT_FIRST; });
      button.textContent = isShort ? `Show all ${all.length} rows` : `Show ${AT_FIRST} rows`;
      button.setAttribute("aria-expanded", String(!isShort));
    };
    button.type = "button";
    button.className = "all";
    button.setAttribute("aria-controls", table.id);
    button.addEventListener("click", () => { isShort = !isShort; show(); });
    table.after(button);
    show();
    return show;
  };

  for (const table of document.querySelectorAll("main table")) {
    const show = shorten(table);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      if (!head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const isDescending = now === "none" ? head.classList.contains("number") : now === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
        sort(table, place, isDescending);
        show();
      });
    });
  }
})();
