// The phone by JsSIP. See page.js for what a phone is.
import JsSIP from "jssip";

const MEDIA = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };

export const name = `JsSIP ${JsSIP.version}`;

export function phone(account, events) {
  const ua = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(account.server)],
    uri: `sip:${account.user}@${account.domain}`,
    password: account.password,
    register_expires: 120,
    connection_recovery_min_interval: 1,
    connection_recovery_max_interval: 2,
  });
  let session = null;

  ua.on("connected", () => events.connected(true));
  ua.on("disconnected", () => {
    events.connected(false);
    events.registered("no");
  });
  ua.on("registered", () => events.registered("yes"));
  ua.on("unregistered", () => events.registered("no"));
  ua.on("registrationFailed", ({ cause }) => events.registered("refused", cause));
  ua.on("newRTCSession", ({ session: made, originator }) => {
    if (session !== null) {
      made.terminate({ status_code: 486 });
      return;
    }
    session = made;
    const peer = made.remote_identity.uri.user;
    if (originator === "remote") events.ringing(peer);
    else events.calling(peer);
    // A call is up for its callee when the ACK came, for its caller when it was answered.
    made.on("confirmed", () => events.active());
    made.on("hold", ({ originator: who }) => who === "local" && events.held());
    made.on("unhold", ({ originator: who }) => who === "local" && events.active());
    const over = ({ cause }) => {
      session = null;
      events.ended(cause);
    };
    made.on("ended", over);
    made.on("failed", over);
    const listen = (connection) => connection.addEventListener("track", ({ streams }) => events.heard(streams[0]));
    if (made.connection) listen(made.connection);
    else made.on("peerconnection", ({ peerconnection }) => listen(peerconnection));
  });

  return {
    start: () => ua.start(),
    call: (target) => ua.call(target, MEDIA),
    answer: () => session.answer(MEDIA),
    hold: () => session.hold(),
    resume: () => session.unhold(),
    hangUp: () => session.terminate(),
  };
}
