// Finishes what a mailed link began. The link's token stands behind the #, which browsers send to no server; it is
// taken off the address bar at once and goes to the desk's API in the body of one request.
"use strict";

const STEPS = {
  "verify-email": { title: "Verify your address", path: "verify-email", done: "Your address is verified. You can log in." },
  "confirm-email": { title: "Confirm your new address", path: "verify-email", done: "Your account has its new address." },
  "reset-password": { title: "Choose a new password", path: "reset-password", form: true,
    done: "Your password is changed, and you were logged out everywhere. You can log in." },
  "invitation": { title: "Welcome! Choose a password", path: "accept-invitation", form: true, name: true,
    done: "Your account is ready. You can log in." },
};

const part = (id) => document.getElementById(id);
const step = STEPS[location.pathname.split("/")[2]];
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function tell(text, wrong) {
  part("told").textContent = text;
  part("told").classList.toggle("wrong", Boolean(wrong));
}

function faultOf(problem) {
  const faults = (problem.errors || []).map((fault) => `${fault.pointer.slice(1)} ${fault.message}`);
  return faults.length ? faults.join("; ") : problem.detail || problem.title;
}

async function send(body) {
  tell("One moment…");
  let answer;
  try {
    answer = await fetch(`/api/v1/auth/${step.path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, ...body }),
      credentials: "omit",
    });
  } catch {
    tell("The desk does not answer. Try again in a moment.", true);
    return;
  }
  if (answer.ok) {
    part("form").hidden = true;
    part("lead").textContent = "";
    tell(step.done);
    return;
  }
  const problem = await answer.json().catch(() => ({ title: "Something went wrong." }));
  if (answer.status === 404 || answer.status === 410) {
    part("form").hidden = true;
    part("lead").textContent = "";
    tell("This link was used already or is too old. Ask for a new one.", true);
    return;
  }
  tell(faultOf(problem), true);
}

function start() {
  if (!step || !token) {
    part("lead").textContent = "Open this page by the link in your mail.";
    return;
  }
  part("title").textContent = step.title;
  document.title = `${step.title} · InsightDesk`;
  if (!step.form) {
    part("lead").textContent = "";
    send({});
    return;
  }
  part("lead").textContent = "At least 8 characters; a few words that you can remember do best.";
  part("name-row").hidden = !step.name;
  part("form").hidden = false;
  part(step.name ? "name" : "password").focus();
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (part("password").value !== part("again").value) {
      tell("The two passwords differ.", true);
      return;
    }
    const name = part("name").value.trim();
    send({ password: part("password").value, ...(step.name && name ? { name } : {}) });
  });
}

start();
