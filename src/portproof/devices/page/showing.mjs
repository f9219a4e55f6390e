// What a device's page shows.
export const element = (id) => document.getElementById(id);

/** The table so far: by artifact and runtime, the verdict and the reason for it; and the end. */
export function show({ model, rows, done, outcome, counts, notTo, why = "" }) {
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
  status.className = outcome === "not proven" ? "bad" : "good";
  status.textContent = `${outcome === "not proven" ? "Not proven" : "The numbers are the same"} on this device: ${counts}`;
  element("end").textContent = [why, notTo && `Not on this device: ${notTo}.`].filter(Boolean).join(" ");
  element("keep").textContent = "Done: this page may be closed.";
}
