// What a reply asks: choices as buttons, and forms.

import { element } from "./markup.js";

let number = 0;

// `answer({text, choice})` is called once, by the button that is pressed.
export function choices({ question, options }, answered, answer) {
  const group = element("div", { className: "choices", role: "group", ariaLabel: "Choices" });
  for (const { value, label } of options) {
    const button = element("button", { type: "button", text: label, disabled: answered });
    button.addEventListener("click", () => answer({ text: label, choice: { question, value } }));
    group.append(button);
  }
  return group;
}

// `answer({text, form, secret})`: `text` is what the talker's own bubble says. `above` is the text over the form.
export function form({ question, title, fields }, above, answered, answer) {
  const inputs = fields.map((field) => ({ field, id: `field-${(number += 1)}` }));
  const group = element("fieldset", { disabled: answered });
  if (title && title !== above) group.append(element("legend", { text: title }));
  for (const entry of inputs) {
    entry.input = input(entry.field, entry.id);
    const label = element("label", { htmlFor: entry.id, text: entry.field.label || entry.field.name });
    if (entry.field.required) label.append(element("span", { className: "faint", text: " (required)" }));
    const check = entry.field.type === "checkbox";
    group.append(element("div", { className: check ? "field check" : "field" }, ...(check ? [entry.input, label] : [label, entry.input])));
  }
  group.append(element("button", { type: "submit", text: "Send" }));
  const node = element("form", { className: "question", ariaLabel: title || "Form" }, group);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(inputs.map(({ field, input: made }) => [field.name, valueOf(field, made)]));
    const text = inputs.map(({ field, input: made }) => `${field.label || field.name}: ${wordsOf(field, made)}`).join("\n");
    const secret = fields.some((field) => field.type === "password");
    answer({ text, form: { question, values }, ...(secret && { secret }) });
  });
  return node;
}

function input(field, id) {
  const common = { id, name: field.name, required: Boolean(field.required) };
  if (field.type === "select") {
    const select = element("select", common);
    if (field.default === undefined) select.append(element("option", { value: "", text: "" }));
    for (const { value, label } of field.options || []) {
      select.append(element("option", { value, text: label, selected: value === field.default }));
    }
    return select;
  }
  if (field.type === "checkbox") return element("input", { ...common, type: "checkbox", checked: field.default === true });
  const type = ["number", "date", "password"].includes(field.type) ? field.type : "text";
  const made = element("input", { ...common, type, value: field.default ?? "", autocomplete: "off" });
  if (type === "number") made.step = "any";
  return made;
}

function valueOf(field, made) {
  if (field.type === "checkbox") return made.checked;
  if (field.type === "number") return made.value === "" ? null : made.valueAsNumber;
  return made.value;
}

function wordsOf(field, made) {
  if (field.type === "checkbox") return made.checked ? "yes" : "no";
  if (field.type === "password") return "•".repeat(made.value ? 8 : 0);
  return field.type === "select" ? made.selectedOptions[0]?.textContent || "" : made.value;
}
