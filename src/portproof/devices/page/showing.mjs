// What a device's page shows.
export const element = (id) => document.getElementById(id);

// From best to worst, as the report has them.
const WORDS = {
  exact: "the same bits as the original",
  faithful: "the same numbers, up to the rounding that any correct program may show",
  close: "more than rounding: what a GPU's arithmetic may differ by, or what a smaller variant of the model may lose",
  unsupported: "this browser lacks something that the file needs; it gave no wrong number",
  wrong: "other numbers, or a variant that has lost the model",
  failed: "it crashed, hung, or ran out of memory",
  absent: "it was not computed",
};

function worded(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/** The table so far: by artifact and runtime, the verdict and the reason for it; and the end. */
export function show({ model, rows, done, outcome, notTo, why = "" }) {
  element("model").textContent = model;
  document.title = `${model} on this device`;
  document.querySelector("table").hidden = !rows.length;
  element("rows").replaceChildren(
    ...rows.map(({ artifact, runtime, verdict, detail }) => {
      const row = document.createElement("tr");
      const words = document.createElement("td");
      words.append(Object.assign(document.createElement("span"), { className: verdict, textContent: verdict }));
      if (detail) words.append(Object.assign(document.createElement("small"), { textContent: detail }));
      const head = Object.assign(document.createElement("th"), { scope: "row", textContent: artifact });
      row.append(head, Object.assign(document.createElement("td"), { textContent: runtime }), words);
      return row;
    }),
  );
  if (!done) return;
  element("progress").hidden = true;
  const status = element("status");
  const proven = outcome !== "not proven";
  const known = Object.keys(WORDS).filter((verdict) => rows.some((row) => row.verdict === verdict));
  const count = (verdict) => rows.filter((row) => row.verdict === verdict).length;
  const same = known.includes("close") ? "Proven" : "The numbers are the same";
  status.className = proven ? "good" : "bad";
  status.textContent = `${proven ? same : "Not proven"} on this device: ${known.map((verdict) => `${count(verdict)} ${verdict}`).join(", ")}`;
  element("words").replaceChildren(...known.flatMap((verdict) => [worded("dt", verdict, verdict), worded("dd", WORDS[verdict])]));
  element("end").textContent = [why, notTo && `Not on this device: ${notTo}.`].filter(Boolean).join(" ");
  element("keep").textContent = "Done: this page may be closed.";
}
