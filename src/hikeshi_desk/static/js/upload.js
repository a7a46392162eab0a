/* Shows how far an upload is. Without this file the form is sent by the browser itself, with the same result. */
"use strict";
for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formenctype")) return; // another language or step: no file travels
    const files = form.querySelector("input[type=file]");
    if (!files || files.files.length === 0 || form.dataset.busy) {
      if (form.dataset.busy) event.preventDefault();
      return;
    }
    event.preventDefault();
    send(form);
  });
}

function send(form) {
  const area = form.querySelector(".progress");
  const words = area.querySelector("[role=status]");
  const bar = area.querySelector("progress");
  const button = form.querySelector("button");
  const say = (text, failed) => {
    words.textContent = text;
    words.className = failed ? "error" : "";
    bar.hidden = Boolean(failed);
    area.hidden = false;
  };
  const stop = (text) => {
    delete form.dataset.busy;
    button.disabled = false;
    say(text, true);
    area.scrollIntoView({ block: "center" });
  };
  form.dataset.busy = "1";
  button.disabled = true;
  say(form.dataset.sending, false);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "json";
  request.setRequestHeader("X-Requested-With", "upload");
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    const share = Math.floor((100 * event.loaded) / event.total);
    bar.value = share;
    words.textContent = `${form.dataset.sending} ${share}%`;
  });
  request.addEventListener("load", () => {
    const answer = request.response || {};
    if (answer.next) location.assign(answer.next);
    else stop((answer.errors || [form.dataset.broken]).join(" "));
  });
  request.addEventListener("error", () => stop(form.dataset.broken));
  request.addEventListener("abort", () => stop(form.dataset.broken));
  request.send(new FormData(form));
}
