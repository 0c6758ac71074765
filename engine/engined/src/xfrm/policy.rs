//! Messages about policies: NEWPOLICY, UPDPOLICY, DELPOLICY, GETPOLICY.

use packet::error::DatabaseError;
use packet::sa::Usage;
use packet::selector::Selector;
use packet::spd::{Action, Policy, PolicyDirection, PolicyKey, PolicyParams, Template};

use super::attribute::TMPL;
use super::sa::{mode_number, parse_mode};
use super::structures::{
    parse_lifetimes, parse_protocol, parse_selector, put_id, put_lifetimes, put_selector,
    put_usage, refuse_foreign,
};
use crate::clock::Clock;
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put, address, family};
use crate::refusal::Refusal;

/// Octets of `struct xfrm_user_tmpl`.
const TEMPLATE_OCTETS: usize = 64;

/// Reads the payload of NEWPOLICY or UPDPOLICY.
///
/// # Errors
/// What is wrong or not supported, by name.
pub fn parse_policy(payload: &[u8]) -> Result<PolicyParams, Refusal> {
    let mut cursor = Cursor::new(payload);
    let selector = whole_selector(&mut cursor)?;
    let lifetimes = parse_lifetimes(&mut cursor)?;
    cursor.skip(32)?;
    let (priority, index) = (cursor.u32()?, cursor.u32()?);
    let (direction, action, flags) = (
        parse_direction(cursor.u8()?)?,
        parse_action(cursor.u8()?)?,
        cursor.u8()?,
    );
    cursor.skip(5)?;
    let attributes = Attributes::parse(cursor.rest())?;
    refuse_foreign(&attributes)?;
    let usual = family(selector.source().address());
    let templates = attributes
        .get(TMPL)
        .map_or(Ok(vec![]), |value| parse_templates(value, usual))?;
    Ok(PolicyParams {
        direction,
        selector,
        action,
        priority,
        index,
        flags,
        templates,
        lifetimes,
    })
}

/// Reads the payload of DELPOLICY or GETPOLICY: an index, or where that is 0 direction and selector.
///
/// # Errors
/// What is wrong, by name.
pub fn parse_policy_key(payload: &[u8]) -> Result<PolicyKey, Refusal> {
    let mut cursor = Cursor::new(payload);
    let selector = parse_selector(&mut cursor)?;
    let (index, direction) = (cursor.u32()?, cursor.u8()?);
    let direction = parse_direction(direction)?;
    if index == 0 {
        let selector = selector.ok_or(EMPTY_SELECTOR)?;
        return Ok(PolicyKey::Selector(direction, selector));
    }
    if index % 8 == direction as u32 {
        Ok(PolicyKey::Index(index))
    } else {
        Err(DatabaseError::NoSuchPolicy.into())
    }
}

const EMPTY_SELECTOR: Refusal =
    Refusal::new(libc::EINVAL, "a policy's selector says its address family");

fn whole_selector(cursor: &mut Cursor<'_>) -> Result<Selector, Refusal> {
    parse_selector(cursor)?.ok_or(EMPTY_SELECTOR)
}

fn parse_direction(number: u8) -> Result<PolicyDirection, Refusal> {
    PolicyDirection::from_number(number).ok_or(Refusal::new(
        libc::EINVAL,
        "a policy's direction is 0 (in), 1 (out) or 2 (fwd)",
    ))
}

fn parse_action(number: u8) -> Result<Action, Refusal> {
    match number {
        0 => Ok(Action::Allow),
        1 => Ok(Action::Block),
        _ => Err(Refusal::new(
            libc::EINVAL,
            "a policy's action is 0 (allow) or 1 (block)",
        )),
    }
}

/// An array. How many there may be, the database judges. One that says no family has the policy's.
fn parse_templates(value: &[u8], usual: u16) -> Result<Vec<Template>, Refusal> {
    let templates = value.chunks_exact(TEMPLATE_OCTETS);
    if !templates.remainder().is_empty() {
        return Err(Refusal::new(
            libc::EINVAL,
            "XFRMA_TMPL is not an array of templates",
        ));
    }
    templates
        .map(|octets| parse_template(&mut Cursor::new(octets), usual))
        .collect()
}

fn parse_template(cursor: &mut Cursor<'_>, usual: u16) -> Result<Template, Refusal> {
    let (destination, spi, protocol) = (cursor.array()?, cursor.be32()?, cursor.u8()?);
    cursor.skip(3)?;
    let number = match cursor.u16()? {
        0 => usual,
        number => number,
    };
    cursor.skip(2)?;
    let (source, reqid, mode) = (cursor.array()?, cursor.u32()?, cursor.u8()?);
    cursor.skip(1)?;
    let optional = cursor.u8()? != 0;
    let (source, destination) = (address(source, number)?, address(destination, number)?);
    Ok(Template {
        source,
        destination,
        spi,
        reqid,
        protocol: parse_protocol(protocol)?,
        mode: parse_mode(mode)?,
        optional,
    })
}

/// Appends the payload of NEWPOLICY.
pub fn put_policy(body: &mut Vec<u8>, policy: &Policy, clock: &Clock) {
    put_policy_info(body, policy, clock);
    put_templates(body, &policy.params.templates);
}

/// Appends `struct xfrm_userpolicy_info`. The time of use is that of the last one.
pub fn put_policy_info(body: &mut Vec<u8>, policy: &Policy, clock: &Clock) {
    let params = &policy.params;
    put_selector(body, Some(&params.selector));
    put_lifetimes(body, &params.lifetimes);
    let usage = Usage {
        first_use_s: policy.used_s(),
        ..Usage::default()
    };
    put_usage(body, &usage, policy.added_s, clock);
    body.put_u32(params.priority);
    body.put_u32(params.index);
    body.put_u8(params.direction as u8);
    body.put_u8(if params.action == Action::Allow { 0 } else { 1 });
    body.put_u8(params.flags);
    body.put_zeros(5);
}

/// Appends `struct xfrm_userpolicy_id`.
pub fn put_policy_id(body: &mut Vec<u8>, params: &PolicyParams) {
    put_selector(body, Some(&params.selector));
    body.put_u32(params.index);
    body.put_u8(params.direction as u8);
    body.put_zeros(3);
}

/// Appends `XFRMA_TMPL`; nothing where there is no template.
pub fn put_templates(body: &mut Vec<u8>, templates: &[Template]) {
    let mut value = Vec::with_capacity(templates.len() * TEMPLATE_OCTETS);
    templates
        .iter()
        .for_each(|template| put_template(&mut value, template));
    if !value.is_empty() {
        put_attribute(body, TMPL, &value);
    }
}

fn put_template(value: &mut Vec<u8>, template: &Template) {
    put_id(value, template.destination, template.spi, template.protocol);
    value.put_u16(family(template.destination));
    value.put_zeros(2);
    value.put_address(template.source);
    value.put_u32(template.reqid);
    value.put_u8(mode_number(template.mode));
    value.put_u8(0);
    value.put_u8(template.optional.into());
    value.put_zeros(1);
    value.put(&[0xff; 12]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::protecting;
    use packet::selector::Prefix;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn policy() -> Policy {
        let prefix = |third| Prefix::new(IpAddr::from([192, 168, third, 0]), 24).unwrap();
        let params = PolicyParams {
            index: 17,
            ..protecting(PolicyDirection::Out, prefix(1), prefix(2))
        };
        Policy::new(params, 1, 1)
    }

    #[test]
    fn a_policy_comes_back() {
        let mut body = Vec::new();
        put_policy(&mut body, &policy(), &Clock::start());
        assert_eq!(body.len(), 168 + 4 + TEMPLATE_OCTETS);
        assert_eq!(parse_policy(&body).unwrap(), policy().params);
    }

    #[test]
    fn a_policy_is_named_by_index_or_selector() {
        let mut body = Vec::new();
        put_policy_id(&mut body, &policy().params);
        assert_eq!(body.len(), 64);
        assert!(matches!(
            parse_policy_key(&body).unwrap(),
            PolicyKey::Index(17)
        ));
        body[56] = 0;
        let PolicyKey::Selector(direction, selector) = parse_policy_key(&body).unwrap() else {
            panic!()
        };
        assert_eq!(
            (direction, selector),
            (PolicyDirection::Out, policy().params.selector)
        );
    }

    proptest! {
        #[test]
        fn any_octets_are_a_policy_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_policy(&octets);
            let _ = parse_policy_key(&octets);
        }

        #[test]
        fn a_damaged_policy_never_panics(at in 0usize..236, value: u8) {
            let mut body = Vec::new();
            put_policy(&mut body, &policy(), &Clock::start());
            body[at] = value;
            let _ = parse_policy(&body);
        }
    }
}
