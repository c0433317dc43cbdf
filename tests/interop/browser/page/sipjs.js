// The phone by SIP.js. See page.js for what a phone is.
import { version, Web } from "sip.js";

export const name = `SIP.js ${version}`;

export function phone(account, events, audio) {
  const user = new Web.SimpleUser(account.server, {
    aor: `sip:${account.user}@${account.domain}`,
    media: { constraints: { audio: true, video: false }, remote: { audio } },
    reconnectionAttempts: 30,
    reconnectionDelay: 1,
    registererOptions: { expires: 120 },
    userAgentOptions: {
      authorizationUsername: account.user,
      authorizationPassword: account.password,
      logBuiltinEnabled: false,
      sessionDescriptionHandlerFactoryOptions: {
        iceGatheringTimeout: 500,
        peerConnectionConfiguration: { iceServers: [] },
      },
    },
  });
  const peer = () => user.session.remoteIdentity.uri.user;
  user.delegate = {
    onServerConnect: () => events.connected(true),
    onServerDisconnect: () => {
      events.connected(false);
      events.registered("no");
    },
    onRegistered: () => events.registered("yes"),
    onUnregistered: () => events.registered("no"),
    onCallReceived: () => events.ringing(peer()),
    onCallAnswered: () => events.active(),
    onCallHold: (held) => (held ? events.held() : events.active()),
    onCallHangup: () => events.ended(),
  };
  const failed = (error) => events.ended(error.message);

  return {
    start: async () => {
      await user.connect();
      await user.register();
    },
    call: (target) => {
      events.calling(target.slice("sip:".length).split("@")[0]);
      user.call(target).catch(failed);
    },
    answer: () => user.answer().catch(failed),
    hold: () => user.hold(),
    resume: () => user.unhold(),
    hangUp: () => user.hangup().catch(failed),
  };
}
