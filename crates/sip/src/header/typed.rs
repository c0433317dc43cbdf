//! The header fields that the protocol acts on, read from a message; nothing is kept.
use crate::error::{HeaderError, ParseError};
use crate::field::Field;
use crate::grammar::{lossy, number, unfold};
use crate::head::header_error;
use crate::header::address::Address;
use crate::header::cseq::CSeq;
use crate::header::via::Via;
use crate::message::Message;
use crate::method::Method;
use crate::name::HeaderName;
use crate::uri::Uri;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The most hops that Max-Forwards may allow (RFC 3261 §20.22).
const MOST_HOPS: u32 = 255;

impl Message {
    /// The only header field of that name.
    pub(crate) fn single(&self, name: HeaderName) -> Result<Option<Field<'_>>, HeaderError> {
        let mut fields = self.headers(name);
        let first = fields.next();
        match fields.next() {
            Some(_) => Err(HeaderError::new(name, "there is more than one; send one")),
            None => Ok(first),
        }
    }

    fn required(&self, name: HeaderName) -> Result<Field<'_>, HeaderError> {
        self.single(name)?.ok_or(HeaderError::new(
            name,
            "it is missing; every message needs one",
        ))
    }

    fn address(&self, name: HeaderName) -> Result<Address<'_>, HeaderError> {
        Address::parse_as(name, self.required(name)?.raw_value())
    }

    /// From or To. A tag that is none is an error: whoever answers would have to add one beside it, and whoever reads would find another.
    fn party(&self, name: HeaderName) -> Result<Address<'_>, HeaderError> {
        let address = self.address(name)?;
        match address.params.get_raw("tag") {
            Some(None | Some("" | "\"\"")) => Err(HeaderError::new(name, "its tag has no value")),
            Some(Some(tag)) if tag.bytes().any(|byte| byte <= b' ' || byte == 0x7f) => Err(
                HeaderError::new(name, "its tag has white space or a control character in it"),
            ),
            _ => Ok(address),
        }
    }

    /// The number in the only header field of that name.
    pub(crate) fn number(&self, name: HeaderName, most: u32) -> Result<Option<u32>, HeaderError> {
        let Some(field) = self.single(name)? else {
            return Ok(None);
        };
        let value = number(field.raw_value(), most);
        value.map(Some).ok_or(HeaderError::new(
            name,
            "it is not a number, or one that is too large",
        ))
    }

    /// Every address in the header fields of that name.
    pub(crate) fn addresses<const N: usize>(
        &self,
        name: HeaderName,
    ) -> Result<SmallVec<[Address<'_>; N]>, HeaderError>
    where
        for<'a> [Address<'a>; N]: smallvec::Array<Item = Address<'a>>,
    {
        self.headers(name)
            .flat_map(|field| field.list())
            .map(|value| Address::parse_as(name, value))
            .collect()
    }

    /// The Call-ID.
    ///
    /// # Errors
    /// Missing, more than one, empty, or not a word.
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let value = self.required(HeaderName::CallId)?.raw_value();
        let fail = |what| HeaderError::new(HeaderName::CallId, what);
        if value.is_empty() {
            return Err(fail("it is empty"));
        }
        if value.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
            return Err(fail("it holds white space or control characters"));
        }
        std::str::from_utf8(value).map_err(|_| fail("it is not UTF-8"))
    }

    /// The CSeq.
    ///
    /// # Errors
    /// Missing, more than one, or unreadable.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::parse(self.required(HeaderName::CSeq)?.raw_value())
    }

    /// The From.
    ///
    /// # Errors
    /// Missing, more than one, or unreadable; a tag without a value, or with white space or a control character in it.
    pub fn from(&self) -> Result<Address<'_>, HeaderError> {
        self.party(HeaderName::From)
    }

    /// The To.
    ///
    /// # Errors
    /// Missing, more than one, or unreadable; a tag without a value, or with white space or a control character in it.
    pub fn to(&self) -> Result<Address<'_>, HeaderError> {
        self.party(HeaderName::To)
    }

    /// Every Contact; the wildcard is an address of which [`Address::is_wildcard`] says so.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn contacts(&self) -> Result<SmallVec<[Address<'_>; 1]>, HeaderError> {
        self.addresses(HeaderName::Contact)
    }

    /// The route set that is left, topmost first.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn routes(&self) -> Result<SmallVec<[Address<'_>; 4]>, HeaderError> {
        self.addresses(HeaderName::Route)
    }

    /// The proxies that stay in the path, topmost first.
    ///
    /// # Errors
    /// One of them is unreadable.
    pub fn record_routes(&self) -> Result<SmallVec<[Address<'_>; 4]>, HeaderError> {
        self.addresses(HeaderName::RecordRoute)
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// There is none, or it is unreadable.
    pub fn top_via(&self) -> Result<Via<'_>, HeaderError> {
        self.vias().next().unwrap_or(Err(HeaderError::new(
            HeaderName::Via,
            "it is missing; every message needs one",
        )))
    }

    /// Every Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, HeaderError>> {
        self.headers(HeaderName::Via)
            .flat_map(|field| field.list())
            .map(Via::parse_bytes)
    }

    /// Whether every value of the topmost Via field can be read: a list of them that holds something else is damaged, and its next
    /// value would be the address of a response (RFC 4475 §3.1.2.1).
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub fn check_via_list(&self) -> Result<(), HeaderError> {
        let Some(field) = self.header(HeaderName::Via) else {
            return Ok(());
        };
        if memchr::memchr(b',', field.raw_value()).is_none() {
            return Ok(());
        }
        field
            .list()
            .try_for_each(|value| Via::parse_bytes(value).map(|_| ()))
    }

    /// How many hops are left.
    ///
    /// # Errors
    /// More than one, no number, or over 255.
    pub fn max_forwards(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::MaxForwards, MOST_HOPS)
    }

    /// The length of the body in bytes, as sent.
    ///
    /// # Errors
    /// Only of a message read leniently: no number.
    pub fn content_length(&self) -> Result<Option<u32>, HeaderError> {
        let Some(field) = self.header(HeaderName::ContentLength) else {
            return Ok(None);
        };
        let value = number(field.raw_value(), u32::MAX);
        value.map(Some).ok_or(HeaderError::new(
            HeaderName::ContentLength,
            "it is not a number that a body can have",
        ))
    }

    /// The Expires, in seconds.
    ///
    /// # Errors
    /// More than one, no number, or over 2^32-1.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::Expires, u32::MAX)
    }

    /// The request-URI, read.
    ///
    /// # Errors
    /// What is wrong with it. A scheme that nobody here knows is not an error; see [`crate::Scheme`].
    pub fn uri(&self) -> Result<Uri<'_>, HeaderError> {
        Uri::parse(self.request_uri())
            .map_err(|error| HeaderError::new(HeaderName::Other, error.what))
    }

    /// The Content-Type.
    #[must_use]
    pub fn content_type(&self) -> Option<Cow<'_, str>> {
        self.header(HeaderName::ContentType)
            .map(|field| field.text())
    }

    /// Whether there is a body and it is a session description (`application/sdp`), by its Content-Type.
    #[must_use]
    pub fn body_is_sdp(&self) -> bool {
        let Some(field) = self.header(HeaderName::ContentType) else {
            return false;
        };
        let text = lossy(unfold(field.raw_value()));
        let media = text.split(';').next().unwrap_or("").trim();
        let (kind, sub) = media.split_once('/').unwrap_or((media, ""));
        !self.body().is_empty()
            && kind.trim().eq_ignore_ascii_case("application")
            && sub.trim().eq_ignore_ascii_case("sdp")
    }

    /// Whether every header field that the protocol needs is there once and can be read: Via, From, To, Call-ID, CSeq,
    /// Max-Forwards where present; of a request, that the CSeq's method is its own (RFC 3261 §8.1.1, §8.2, §16.3).
    ///
    /// # Errors
    /// The first thing that is wrong; [`ParseError::status`] is what to answer a request with. Where it can be told, the
    /// offset is that of the header field.
    pub fn validate(&self) -> Result<(), ParseError> {
        let at = |error: HeaderError| {
            header_error(
                error,
                self.header(error.header).map_or(0, |field| field.offset()),
            )
        };
        self.call_id().map_err(at)?;
        let cseq = self.cseq().map_err(at)?;
        self.from().map_err(at)?;
        self.to().map_err(at)?;
        self.top_via().map_err(at)?;
        self.check_via_list().map_err(at)?;
        self.max_forwards().map_err(at)?;
        if self.is_request() && !self.is_method(&cseq.method) {
            return Err(at(HeaderError::new(
                HeaderName::CSeq,
                "its method is not that of the request line",
            )));
        }
        Ok(())
    }

    /// Whether the request has that method; of a response, whether its CSeq has it.
    #[must_use]
    pub fn is_method(&self, method: &Method) -> bool {
        self.request_method()
            .map_or_else(|| self.method() == *method, |own| own == method)
    }
}
