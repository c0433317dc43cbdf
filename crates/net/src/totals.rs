//! What the driver of a shard counts since its start; `Counts::totals` carries it beside what the engine counts.

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// The totals of one shard's driver.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Totals {
            /// Each by its name.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($text, self.$name),)*].into_iter()
            }
        }
    };
}

totals! {
    /// Datagrams received.
    udp_received => "udp_received",
    /// Datagrams handed to the kernel.
    udp_sent => "udp_sent",
    /// Datagrams that no buffer had room for when they were to be sent.
    udp_send_dropped => "udp_send_dropped",
    /// Datagrams that the kernel refused to send, or to tell about.
    udp_errors => "udp_errors",
    /// Datagrams that the kernel dropped because the receive buffer was full.
    udp_kernel_dropped => "udp_kernel_dropped",
    /// Messages received on stream connections.
    stream_received => "stream_received",
    /// Messages queued on stream connections.
    stream_sent => "stream_sent",
    /// Connections accepted.
    accepted => "connections_accepted",
    /// Connections opened.
    opened => "connections_opened",
    /// Connections refused because there were too many.
    refused => "connections_refused",
    /// Connections given up since requests in a row went unanswered.
    given_up => "connections_given_up",
    /// Connections closed for what their peers did or left undone: no whole message, no reading, no pong, a broken protocol.
    closed => "connections_closed",
    /// TLS and WebSocket handshakes that came to nothing.
    handshakes_failed => "handshakes_failed",
    /// Messages handed over to another shard.
    handed_over => "handed_over",
    /// Messages lost because the other shard was too far behind.
    hand_over_dropped => "hand_over_dropped",
    /// Messages of banned sources.
    dropped_banned => "dropped_banned",
    /// Datagrams that do not begin as a SIP message does.
    dropped_garbage => "dropped_garbage",
    /// Messages past the rate of their source.
    dropped_rate => "dropped_rate",
    /// Messages past the rate of bytes of their source.
    dropped_bytes => "dropped_bytes",
    /// Messages past the rate of all unknown sources together.
    dropped_strangers => "dropped_strangers",
    /// Requests that a filter fits: dropped, answered, or their source banned.
    dropped_filter => "dropped_filter",
    /// Connections refused because their source is banned, or has as many as one may.
    refused_source => "connections_refused_source",
    /// Bans that rules began.
    bans => "bans_begun",
    /// Host names that the engine asked for.
    dns_questions => "dns_questions",
    /// Those of them for which no name server had to be asked.
    dns_cached => "dns_cached",
    /// Those of them that led nowhere.
    dns_failed => "dns_failed",
    /// Addresses of names left out, as they are no server's: unspecified, multicast, broadcast.
    dns_unusable => "dns_unusable",
    /// Panics caught: each is a bug, and cost a message.
    panics => "panics",
}
