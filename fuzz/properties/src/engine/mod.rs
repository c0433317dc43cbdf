//! An engine played by an input: messages from peers (made up, damaged, answers to what it sent), commands of its applications, time,
//! closed connections, answers of the resolver. The input is lines (`script`); `network` and `application` say what each verb does.
//!
//! What must hold: no panic; what it sends can be read; a message costs a bounded number of others; its tables stay within their
//! bounds; every command has one outcome; no server transaction has two final responses, no client transaction's user hears two;
//! nothing is told to an application that is gone; and after a long rest every table is empty.
mod application;
mod ledger;
mod network;
mod stage;
mod texts;

use crate::script::steps;
use stage::Stage;

/// The most steps of one input: what follows is left out, so that no input takes long.
const STEPS: usize = 200;

/// Holds the properties for one input.
pub fn run(data: &[u8]) {
    let mut steps = steps(data).take(STEPS).peekable();
    let (manner, is_open) = match steps.peek() {
        Some(step) if step.verb() == b'K' => (step.number(0), step.number(1) == 1),
        _ => (0, false),
    };
    let mut stage = Stage::new(manner, is_open);
    for step in steps {
        if !network::play(&mut stage, step) {
            application::play(&mut stage, step);
        }
        stage.settle();
    }
    stage.rest();
}
