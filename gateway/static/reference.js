// The page is complete without this. It adds: this gateway's address in the examples, copying, and trying them out.
"use strict";

const key = document.getElementById("key");
const credential = document.getElementById("credential");
const CREDENTIAL = /("credentialId"\s*:\s*")[^"]*(")/g;

for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
for (const part of document.querySelectorAll("[data-origin]")) part.textContent = location.origin;

// The key itself is never written into the page: an example shows that there is one, and copying puts it in.
function showKey() {
  for (const part of document.querySelectorAll("[data-key]")) part.textContent = key.value ? "•••••" : "YOUR_KEY";
}

function showCredential() {
  if (!credential.value) return;
  for (const body of document.querySelectorAll(".try textarea")) {
    body.value = body.value.replace(CREDENTIAL, (_, before, after) => before + credential.value.trim() + after);
  }
  for (const name of document.querySelectorAll("pre .name")) {
    if (name.textContent === '"credentialId"' && name.nextElementSibling) {
      name.nextElementSibling.textContent = JSON.stringify(credential.value.trim());
    }
  }
}

function textOf(block) {
  const copy = block.cloneNode(true);
  for (const part of copy.querySelectorAll("[data-key]")) part.textContent = key.value.trim() || "YOUR_KEY";
  return copy.textContent;
}

function addCopyButton(figure) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(textOf(figure.querySelector("pre")));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  figure.append(button);
}

async function send(box) {
  const button = box.querySelector("button");
  const verdict = box.querySelector("output");
  const answer = box.querySelector(".answer");
  if (!key.value.trim()) {
    verdict.textContent = "Enter an API key at the top of the page first.";
    key.scrollIntoView({ block: "center" });
    key.focus();
    return;
  }
  button.disabled = true;
  verdict.textContent = "…";
  try {
    const response = await fetch("/v1", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-API-Key": key.value.trim() },
      body: box.querySelector("textarea").value,
    });
    const text = await response.text();
    verdict.textContent = `${response.status} in ${response.headers.get("X-Request-Duration-Ms") || "?"} ms`;
    try {
      answer.firstElementChild.textContent = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      answer.firstElementChild.textContent = text;
    }
    answer.hidden = false;
  } catch (problem) {
    verdict.textContent = `No answer: ${problem.message}. An order may have been sent; ask getOrder.`;
  } finally {
    button.disabled = false;
  }
}

function followScrolling() {
  const menu = document.querySelector(".menu");
  const links = new Map([...document.querySelectorAll(".menu li a")].map((link) => [link.hash.slice(1), link]));
  let here = null;
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      if (here) here.classList.remove("here");
      here = links.get(entry.target.id);
      here.classList.add("here");
      // Not scrollIntoView: it would stop a scroll of the page that is under way.
      const middle = here.offsetTop - menu.clientHeight / 2;
      if (Math.abs(menu.scrollTop - middle) > menu.clientHeight / 3) menu.scrollTop = middle;
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const section of document.querySelectorAll("section[id]")) if (links.has(section.id)) watcher.observe(section);
}

key.addEventListener("input", showKey);
credential.addEventListener("change", showCredential);
document.querySelector(".keys").addEventListener("submit", (event) => event.preventDefault());
for (const figure of document.querySelectorAll("figure")) if (navigator.clipboard) addCopyButton(figure);
for (const box of document.querySelectorAll(".try")) box.querySelector("button").addEventListener("click", () => send(box));
for (const link of document.querySelectorAll(".small-menu a")) {
  link.addEventListener("click", () => { document.querySelector(".small-menu").open = false; });
}
followScrolling();
