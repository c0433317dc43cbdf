//! Names of header fields: those the protocol knows, found whatever their case and in their compact forms.
//!
//! A name this list does not hold is `Other`; the field keeps its name as sent, and [`crate::Message::named`] finds it.

/// The longest name in the list, in bytes.
const LONGEST: usize = 32;

macro_rules! names {
    ($($variant:ident $text:literal $($pattern:literal)|+;)*) => {
        /// The name of a header field (RFC 3261 §20 and the IANA registry).
        #[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other name: the field knows it.
            Other,
        }

        impl HeaderName {
            /// The name in its usual spelling; empty for `Other`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $text,)*
                    HeaderName::Other => "",
                }
            }

            /// The name whose lower-case spelling is `lower`.
            fn from_lower(lower: &[u8]) -> HeaderName {
                match lower {
                    $($($pattern)|+ => HeaderName::$variant,)*
                    _ => HeaderName::Other,
                }
            }

            /// Every name but `Other`.
            pub const ALL: &'static [HeaderName] = &[$(HeaderName::$variant),*];
        }
    };
}

names! {
    Via "Via" b"via" | b"v";
    From "From" b"from" | b"f";
    To "To" b"to" | b"t";
    CallId "Call-ID" b"call-id" | b"i";
    CSeq "CSeq" b"cseq";
    Contact "Contact" b"contact" | b"m";
    MaxForwards "Max-Forwards" b"max-forwards";
    Route "Route" b"route";
    RecordRoute "Record-Route" b"record-route";
    ContentType "Content-Type" b"content-type" | b"c";
    ContentLength "Content-Length" b"content-length" | b"l";
    ContentEncoding "Content-Encoding" b"content-encoding" | b"e";
    ContentDisposition "Content-Disposition" b"content-disposition";
    ContentLanguage "Content-Language" b"content-language";
    ContentId "Content-ID" b"content-id";
    MimeVersion "MIME-Version" b"mime-version";
    Expires "Expires" b"expires";
    MinExpires "Min-Expires" b"min-expires";
    Require "Require" b"require";
    ProxyRequire "Proxy-Require" b"proxy-require";
    Supported "Supported" b"supported" | b"k";
    Unsupported "Unsupported" b"unsupported";
    Allow "Allow" b"allow";
    AllowEvents "Allow-Events" b"allow-events" | b"u";
    Event "Event" b"event" | b"o";
    SubscriptionState "Subscription-State" b"subscription-state";
    SuppressIfMatch "Suppress-If-Match" b"suppress-if-match";
    Accept "Accept" b"accept";
    AcceptEncoding "Accept-Encoding" b"accept-encoding";
    AcceptLanguage "Accept-Language" b"accept-language";
    AcceptContact "Accept-Contact" b"accept-contact" | b"a";
    RejectContact "Reject-Contact" b"reject-contact" | b"j";
    RequestDisposition "Request-Disposition" b"request-disposition" | b"d";
    AcceptResourcePriority "Accept-Resource-Priority" b"accept-resource-priority";
    ResourcePriority "Resource-Priority" b"resource-priority";
    Authorization "Authorization" b"authorization";
    WwwAuthenticate "WWW-Authenticate" b"www-authenticate";
    ProxyAuthorization "Proxy-Authorization" b"proxy-authorization";
    ProxyAuthenticate "Proxy-Authenticate" b"proxy-authenticate";
    AuthenticationInfo "Authentication-Info" b"authentication-info";
    ProxyAuthenticationInfo "Proxy-Authentication-Info" b"proxy-authentication-info";
    Path "Path" b"path";
    ServiceRoute "Service-Route" b"service-route";
    RAck "RAck" b"rack";
    RSeq "RSeq" b"rseq";
    Reason "Reason" b"reason";
    RetryAfter "Retry-After" b"retry-after";
    ReferTo "Refer-To" b"refer-to" | b"r";
    ReferredBy "Referred-By" b"referred-by" | b"b";
    ReferSub "Refer-Sub" b"refer-sub";
    ReferEventsAt "Refer-Events-At" b"refer-events-at";
    Replaces "Replaces" b"replaces";
    Join "Join" b"join";
    TargetDialog "Target-Dialog" b"target-dialog";
    SessionExpires "Session-Expires" b"session-expires" | b"x";
    MinSe "Min-SE" b"min-se";
    SessionId "Session-ID" b"session-id";
    Subject "Subject" b"subject" | b"s";
    Date "Date" b"date";
    Timestamp "Timestamp" b"timestamp";
    UserAgent "User-Agent" b"user-agent";
    Server "Server" b"server";
    Organization "Organization" b"organization";
    Priority "Priority" b"priority";
    Warning "Warning" b"warning";
    InReplyTo "In-Reply-To" b"in-reply-to";
    ReplyTo "Reply-To" b"reply-to";
    AlertInfo "Alert-Info" b"alert-info";
    CallInfo "Call-Info" b"call-info";
    ErrorInfo "Error-Info" b"error-info";
    Privacy "Privacy" b"privacy";
    PAssertedIdentity "P-Asserted-Identity" b"p-asserted-identity";
    PPreferredIdentity "P-Preferred-Identity" b"p-preferred-identity";
    PPreferredService "P-Preferred-Service" b"p-preferred-service";
    PAssertedService "P-Asserted-Service" b"p-asserted-service";
    PAccessNetworkInfo "P-Access-Network-Info" b"p-access-network-info";
    PVisitedNetworkId "P-Visited-Network-ID" b"p-visited-network-id";
    PChargingVector "P-Charging-Vector" b"p-charging-vector";
    PChargingFunctionAddresses "P-Charging-Function-Addresses" b"p-charging-function-addresses";
    PAssociatedUri "P-Associated-URI" b"p-associated-uri";
    PCalledPartyId "P-Called-Party-ID" b"p-called-party-id";
    PEarlyMedia "P-Early-Media" b"p-early-media";
    PServedUser "P-Served-User" b"p-served-user";
    RemotePartyId "Remote-Party-ID" b"remote-party-id";
    HistoryInfo "History-Info" b"history-info";
    Diversion "Diversion" b"diversion";
    Identity "Identity" b"identity" | b"y";
    IdentityInfo "Identity-Info" b"identity-info" | b"n";
    SipEtag "SIP-ETag" b"sip-etag";
    SipIfMatch "SIP-If-Match" b"sip-if-match";
    SecurityClient "Security-Client" b"security-client";
    SecurityServer "Security-Server" b"security-server";
    SecurityVerify "Security-Verify" b"security-verify";
    UserToUser "User-to-User" b"user-to-user";
    FlowTimer "Flow-Timer" b"flow-timer";
    MaxBreadth "Max-Breadth" b"max-breadth";
    InfoPackage "Info-Package" b"info-package";
    RecvInfo "Recv-Info" b"recv-info";
    Geolocation "Geolocation" b"geolocation";
    GeolocationRouting "Geolocation-Routing" b"geolocation-routing";
    GeolocationError "Geolocation-Error" b"geolocation-error";
    FeatureCaps "Feature-Caps" b"feature-caps";
    TriggerConsent "Trigger-Consent" b"trigger-consent";
    PermissionMissing "Permission-Missing" b"permission-missing";
    AnswerMode "Answer-Mode" b"answer-mode";
    PrivAnswerMode "Priv-Answer-Mode" b"priv-answer-mode";
    PolicyContact "Policy-Contact" b"policy-contact";
    PolicyId "Policy-ID" b"policy-id";
}

impl HeaderName {
    /// The name that `bytes` spell, in any case, or in its compact form (RFC 3261 §7.3.3).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> HeaderName {
        let mut buffer = [0_u8; LONGEST];
        let Some(lower) = buffer.get_mut(..bytes.len()) else {
            return HeaderName::Other;
        };
        for (to, from) in lower.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
        HeaderName::from_lower(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderName, LONGEST};

    #[test]
    fn every_name_is_found_by_its_own_spelling() {
        for name in HeaderName::ALL {
            assert!(name.as_str().len() <= LONGEST);
            assert_eq!(HeaderName::from_bytes(name.as_str().as_bytes()), *name);
            assert_eq!(
                HeaderName::from_bytes(name.as_str().to_ascii_uppercase().as_bytes()),
                *name
            );
        }
    }

    #[test]
    fn compact_forms_are_the_same_name() {
        let compact = [
            (b"v", HeaderName::Via),
            (b"F", HeaderName::From),
            (b"i", HeaderName::CallId),
            (b"L", HeaderName::ContentLength),
        ];
        for (bytes, name) in compact {
            assert_eq!(HeaderName::from_bytes(bytes), name);
        }
        assert_eq!(HeaderName::from_bytes(b"X-Custom"), HeaderName::Other);
        assert_eq!(HeaderName::from_bytes(&[b'a'; 100]), HeaderName::Other);
    }
}
