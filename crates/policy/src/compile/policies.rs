//! `kind: Policy` -> a compiled policy and its rules.

use std::collections::BTreeMap;

use expression::{Expression, Fields, Type};
use serde_json::Value as Json;

use super::{compiler::Compiler, file::File, rules::Inherited, settings::type_of};
use crate::{
    document::{Condition, Policy},
    facts::{self, Purpose},
    matching,
    pack::{Compiled as CompiledPolicy, Needs},
};

/// A named expression, compiled.
type Named = (String, Expression);

impl Compiler<'_> {
    /// Adds a policy and its rules.
    pub(super) fn policy(&mut self, policy: &Policy, file: &File) {
        let spec = &policy.spec;
        let constraints = spec.match_constraints.as_ref();
        let params = self.parameters(policy);
        let params_type = parameters_type(&params);
        let object = match file.is_builtin {
            true => Type::Dyn, // A test says what they do; a cluster without such a kind is no mistake.
            false => self.kinds.object(constraints),
        };
        let (variables, variables_type) =
            self.variables(file, &spec.variables, &object, &params_type);
        let schema = |purpose| {
            let (params, variables) = (params_type.clone(), variables_type.clone());
            facts::schema(&object, params, variables, purpose)
        };
        let of_request = schema(Purpose::OfRequest);
        let conditions: Vec<Named> = spec
            .match_conditions
            .iter()
            .filter_map(|it| {
                let compiled = Expression::condition(&it.expression.value, &of_request);
                Some((it.name.clone(), self.reported(file, &it.expression, compiled)?))
            })
            .collect();
        self.check_constraints(file, constraints);
        if let Some(selector) = constraints.and_then(|it| it.namespace_selector.as_ref()) {
            self.guarded.extend(selector.keys().map(str::to_owned));
        }
        if spec.rules.is_empty() {
            let message = "has no rules, and so says nothing";
            self.report(file, policy.metadata.name.referenced, message);
        }
        let inherited = Inherited {
            policy,
            index: self.pack.policies.len(),
            file,
            of_request: [&of_request, &schema(Purpose::ReasonOfRequest)],
            of_effect: [&schema(Purpose::OfEffect), &schema(Purpose::ReasonOfEffect)],
            needs: needs_of(policy, conditions.iter().chain(&variables)),
            requests: matching::requests(constraints),
        };
        for rule in &spec.rules {
            self.rule(&inherited, rule);
        }
        self.pack.policies.push(CompiledPolicy {
            name: policy.metadata.name.value.clone(),
            description: spec.description.clone(),
            constraints: spec.match_constraints.clone(),
            agents: spec.agents.clone(),
            conditions,
            variables,
            params,
            builtin: file.is_builtin,
        });
    }

    /// Those variables that compile, and the type of `variables`.
    fn variables(
        &mut self,
        file: &File,
        variables: &[Condition],
        object: &Type,
        params: &Type,
    ) -> (Vec<Named>, Type) {
        let mut compiled = Vec::new();
        let mut types: BTreeMap<String, Type> = BTreeMap::new();
        for variable in variables {
            // Each may use those before it, and only those: so there are no circles.
            let earlier = object_type("variables", &types);
            let schema = facts::schema(object, params.clone(), earlier, Purpose::OfRequest);
            let expression = Expression::compile(&variable.expression.value, &schema);
            let expression = self.reported(file, &variable.expression, expression);
            // One that does not compile is anything, so that only its own mistake is told.
            let its_type = expression.as_ref().map_or(Type::Dyn, |it| it.result().clone());
            types.insert(variable.name.clone(), its_type);
            compiled.extend(expression.map(|it| (variable.name.clone(), it)));
        }
        (compiled, object_type("variables", &types))
    }
}

fn object_type(name: &str, fields: &BTreeMap<String, Type>) -> Type {
    Type::Object(
        Fields { name: name.to_owned(), fields: fields.clone(), ..Fields::default() }.into(),
    )
}

fn parameters_type(params: &Json) -> Type {
    let fields = params.as_object().into_iter().flatten();
    let fields = fields.map(|(key, value)| (key.clone(), type_of(value))).collect();
    object_type("params", &fields)
}

/// What all rules of a policy have to look at, because the policy does.
fn needs_of<'e>(policy: &Policy, expressions: impl Iterator<Item = &'e Named>) -> Needs {
    let constraints = policy.spec.match_constraints.as_ref();
    let mut needs = Needs {
        objects: constraints.is_some_and(|it| it.object_selector.is_some()),
        ..Needs::default()
    };
    for (_, expression) in expressions {
        needs.add(|variable| expression.reads(variable));
    }
    needs
}
