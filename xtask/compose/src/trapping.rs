//! Makes a component trap where it would call certain imports, for tests of how hosts handle a
//! trap.

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::{self, Reencode, ReencodeComponent};
use wasm_encoder::{Component, ImportSection, Instruction, Module};
use wasmparser::{Import, Operator, Parser, TypeRef};

/// Replaces each call of an import by a trap. `imports` are function names as core modules see
/// them, such as `[method]record-store.put`.
///
/// # Errors
/// If the bytes are not a component, or an import is never called.
pub(crate) fn trap_at(component: &[u8], imports: &[&str]) -> Result<Vec<u8>> {
    let mut rewriter =
        Rewriter { names: imports, functions: 0, trapping: Vec::new(), called: vec![] };
    let mut rewritten = Component::new();
    rewriter
        .parse_component(&mut rewritten, Parser::new(0), component)
        .context("the component can't be rewritten")?;
    if let Some(missing) = imports.iter().find(|name| !rewriter.called.contains(name)) {
        bail!("the component never calls {missing}");
    }
    Ok(rewritten.finish())
}

struct Rewriter<'a> {
    names: &'a [&'a str],
    /// The number of functions that the current module has imported so far.
    functions: u32,
    /// Indices and names of the functions that trap.
    trapping: Vec<(u32, &'a str)>,
    called: Vec<&'a str>,
}

impl Reencode for Rewriter<'_> {
    type Error = std::convert::Infallible;

    fn parse_core_module(
        &mut self,
        module: &mut Module,
        parser: Parser,
        data: &[u8],
    ) -> Result<(), reencode::Error> {
        self.functions = 0;
        self.trapping.clear();
        reencode::utils::parse_core_module(self, module, parser, data)
    }

    fn parse_imports(
        &mut self,
        section: &mut ImportSection,
        imports: wasmparser::Imports<'_>,
    ) -> Result<(), reencode::Error> {
        if let wasmparser::Imports::Single(_, Import { name, ty: TypeRef::Func(_), .. }) = imports {
            let wanted = self.names.iter().find(|wanted| **wanted == name);
            self.trapping.extend(wanted.map(|wanted| (self.functions, *wanted)));
            self.functions += 1;
        }
        reencode::utils::parse_imports(self, section, imports)
    }

    fn instruction<'b>(
        &mut self,
        operator: Operator<'b>,
    ) -> Result<Instruction<'b>, reencode::Error> {
        if let Operator::Call { function_index } = operator
            && let Some((_, name)) =
                self.trapping.iter().find(|(index, _)| *index == function_index)
        {
            self.called.push(name);
            return Ok(Instruction::Unreachable);
        }
        reencode::utils::instruction(self, operator)
    }
}

impl ReencodeComponent for Rewriter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &str = r#"(component
        (core module $main
            (import "store" "get" (func $get (result i32)))
            (import "store" "put" (func $put (result i32)))
            (func (export "run") (result i32) call $get call $put i32.add)))"#;

    #[test]
    fn calls_of_the_named_imports_trap_and_others_do_not() {
        let component = wat::parse_str(COMPONENT).unwrap();
        let rewritten = trap_at(&component, &["put"]).unwrap();
        let mut operators = Vec::new();
        for payload in Parser::new(0).parse_all(&rewritten) {
            if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
                let reader = body.get_operators_reader().unwrap();
                operators
                    .extend(reader.into_iter().map(|operator| format!("{:?}", operator.unwrap())));
            }
        }
        let shown = ["Call { function_index: 0 }", "Unreachable", "I32Add", "End"];
        assert_eq!(operators, shown);
    }

    #[test]
    fn an_import_that_is_never_called_is_named() {
        let component = wat::parse_str(COMPONENT).unwrap();
        let message = trap_at(&component, &["put", "delete"]).unwrap_err().to_string();
        assert!(message.contains("delete"), "{message}");
    }
}
