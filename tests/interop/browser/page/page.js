// The page of the browser phone: what it shows, and what its buttons do. It knows nothing of SIP: a phone (jssip.js, sipjs.js) does.
//
// A phone is made of an account and of `events`, which it calls: connected(yes), registered("yes" | "no" | "refused", why),
// ringing(peer) for a call that comes, calling(peer), active(), held(), ended(why), heard(stream).
// It has start(), call(target), answer(), hold(), resume(), hangUp().

const PHONES = { jssip: () => import("./jssip.js"), sipjs: () => import("./sipjs.js") };
const REGISTRATION = { yes: "Registered", no: "Not registered", refused: "Refused" };
const STATES = { none: "No call", calling: "Calling", incoming: "Incoming call", active: "In a call", held: "On hold" };

const parameters = new URLSearchParams(location.search);
const given = (name, otherwise) => parameters.get(name) ?? otherwise;
const account = {
  user: given("user", "alice"),
  password: given("password", "wonderland"),
  domain: given("domain", location.hostname),
  server: given("server", `wss://${location.hostname}:8443`),
};
const library = given("library", "jssip");
const $ = (id) => document.getElementById(id);
let since = null;

function say(text) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toTimeString().slice(0, 8);
  line.append(time, text);
  $("log").prepend(line);
}

function showCall(state, peer) {
  document.body.dataset.call = state;
  $("call-state").textContent = STATES[state];
  if (peer !== undefined) $("call-peer").textContent = peer;
  $("hang-up").textContent = state === "incoming" ? "Refuse" : "Hang up";
  $("hold").textContent = state === "held" ? "Resume" : "Hold";
  $("dial").querySelector("button").disabled = state !== "none";
  if (state === "active" && since === null) since = Date.now();
  if (state === "none") {
    since = null;
    $("call-time").textContent = "";
  }
}

const events = {
  connected(yes) {
    if (yes === (document.body.dataset.connection === "online")) return;
    document.body.dataset.connection = yes ? "online" : "offline";
    say(yes ? "Connected to the server" : "The connection is gone");
  },
  registered(state, why) {
    if (state === document.body.dataset.registration) return;
    document.body.dataset.registration = state;
    $("registration").textContent = REGISTRATION[state];
    say(why ? `${REGISTRATION[state]}: ${why}` : REGISTRATION[state]);
  },
  ringing(peer) {
    showCall("incoming", peer);
    say(`${peer} calls`);
  },
  calling(peer) {
    showCall("calling", peer);
    say(`Calling ${peer}`);
  },
  active() {
    const before = document.body.dataset.call;
    if (before === "active") return;
    showCall("active");
    say(before === "held" ? "Resumed" : "The call is up");
  },
  held() {
    if (document.body.dataset.call === "held") return;
    showCall("held");
    say("On hold");
  },
  ended(why) {
    if (document.body.dataset.call === "none") return;
    showCall("none", "");
    say(why ? `The call ended: ${why}` : "The call ended");
  },
  heard(stream) {
    $("remote").srcObject = stream;
  },
};

setInterval(() => {
  if (since === null) return;
  const seconds = Math.floor((Date.now() - since) / 1000);
  $("call-time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}, 250);

const { phone: make, name } = await PHONES[library]();
const phone = make(account, events, $("remote"));
$("account").textContent = account.user;
$("library").textContent = `${account.user}@${account.domain} by ${name}`;
document.title = `${account.user} · Browser phone`;
$("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  const target = $("target").value.trim();
  phone.call(target.includes("@") ? `sip:${target}` : `sip:${target}@${account.domain}`);
});
$("answer").addEventListener("click", () => phone.answer());
$("hold").addEventListener("click", () => (document.body.dataset.call === "held" ? phone.resume() : phone.hold()));
$("hang-up").addEventListener("click", () => phone.hangUp());
phone.start();
