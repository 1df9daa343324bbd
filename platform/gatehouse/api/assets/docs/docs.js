// Starts the reference, and reads the OpenAPI document again with the credential after Authorize, so that granted contracts appear.
"use strict";

(() => {
  const documentUrl = new URL("openapi.json", location.href).href;
  const notice = document.getElementById("notice");
  let reads = 0;

  // Two credentials in one call are refused, so one is chosen: the bearer, as everywhere in the reference.
  function credentialHeaders(system) {
    const authorized = system.authSelectors.authorized().toJS();
    const bearer = authorized.bearer && authorized.bearer.value;
    const apiKey = authorized.apiKey && authorized.apiKey.value;
    if (bearer) return { Authorization: "Bearer " + bearer.trim() };
    if (apiKey) return { "X-API-Key": apiKey.trim() };
    return {};
  }

  function say(text) {
    notice.textContent = text;
    notice.hidden = text === "";
  }

  async function readDocument(system) {
    const read = ++reads;
    const headers = credentialHeaders(system);
    let text = "";
    let complaint = "";
    try {
      const answer = await fetch(documentUrl, { headers, cache: "no-store", credentials: "omit" });
      text = await answer.text();
      if (!answer.ok) complaint = JSON.parse(text).detail;
    } catch {
      complaint = "The server gave no readable answer; try again.";
    }
    if (read !== reads) return; // a later Authorize or Logout has asked again
    say(complaint);
    if (!complaint) system.specActions.updateSpec(text);
  }

  const readAgainWithCredential = () => {
    const then = (original, system) => (payload) => {
      const result = original(payload);
      readDocument(system.getSystem());
      return result;
    };
    return { statePlugins: { auth: { wrapActions: { authorize: then, logout: then } } } };
  };

  // Calls go to the server that this page came from, whatever the public URL is; the page's policy allows no other.
  function toThisServer(request) {
    const url = new URL(request.url, location.href);
    request.url = location.origin + url.pathname + url.search;
    if (request.headers && request.headers.Authorization) delete request.headers["X-API-Key"];
    return request;
  }

  SwaggerUIBundle({
    url: documentUrl,
    dom_id: "#reference",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    persistAuthorization: false,
    queryConfigEnabled: false,
    tryItOutEnabled: true,
    validatorUrl: null,
    plugins: [readAgainWithCredential],
    requestInterceptor: toThisServer,
  });
})();
