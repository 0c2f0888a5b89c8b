"use strict";

// Filter the scoreboard by verdict; without scripts all claims are shown.
const status = document.querySelector(".shown");
const rows = [...document.querySelectorAll(".claims tbody tr")];

function show(verdict) {
  for (const cell of document.querySelectorAll(".claims td[data-verdict]")) {
    cell.classList.toggle("other", verdict !== "" && cell.dataset.verdict !== verdict);
  }
  for (const row of rows) {
    row.hidden = verdict !== "" && !row.querySelector(`[data-verdict="${verdict}"]`);
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = !group.querySelector("tbody tr:not([hidden])");
  }
  const shown = rows.filter((row) => !row.hidden);
  const kind = verdict === "" ? "" : `="${verdict}"`;
  const found = shown.flatMap((row) => [...row.querySelectorAll(`[data-verdict${kind}]`)]);
  status.textContent =
    `${shown.length} of ${rows.length} claims shown, ` +
    `with ${found.length} ${verdict === "" ? "" : "such "}verdicts`;
}

for (const choice of document.querySelectorAll("input[name=verdict]")) {
  choice.addEventListener("change", () => show(choice.value));
}
// A browser that restores the page also restores the choice.
show(document.querySelector("input[name=verdict]:checked").value);

// On paper nothing is folded.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const folded of unfolded) folded.open = true;
});
addEventListener("afterprint", () => {
  for (const folded of unfolded) folded.open = false;
});
