// Passkeys: asks the desk for options, the browser for an answer, and sends it with the form it belongs to.
"use strict";
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const plain = (buffer) =>
    buffer && btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const readable = (options) => {
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const list of ["excludeCredentials", "allowCredentials"])
      for (const one of options[list] || []) one.id = bytes(one.id);
    return options;
  };

  const sendable = (credential) => {
    const response = {};
    for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
      if (credential.response[part]) response[part] = plain(credential.response[part]);
    return JSON.stringify({ id: credential.id, rawId: plain(credential.rawId), type: credential.type, response,
      clientExtensionResults: {} });
  };

  const answered = async (form) => {
    const body = new URLSearchParams({ csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
    const options = await fetch(form.dataset.ask, { method: "POST", body, credentials: "same-origin" });
    if (!options.ok) throw new Error("refused");
    const publicKey = readable((await options.json()).publicKey);
    const made = form.dataset.passkey === "new"
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    return sendable(made);
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const told = form.querySelector("[data-told]");
      told.hidden = true;
      try {
        form.elements.passkey.value = await answered(form);
        form.submit();
      } catch {
        told.hidden = false; // closed, timed out, or not this device
      }
    });
  }
  for (const note of document.querySelectorAll("[data-no-passkey]")) note.hidden = true;
})();
