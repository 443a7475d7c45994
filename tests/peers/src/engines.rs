//! The peers, each used as its own documentation has it for many decisions with one rule:
//! everything that can be made ready before the first event is.

use std::str::FromStr as _;
use std::sync::Arc;

use serde_json::Value;

use crate::rule::Order;
use crate::{Engine, Problem, Way};

/// All peers with the settings of the rule.
pub fn all(settings: &str, plugin: Vec<u8>) -> Result<Vec<Way>, Problem> {
    Ok(vec![
        Way {
            name: "Extism, instance reused",
            of: "extism",
            licence: "BSD-3-Clause",
            measured: "a call with the JSON text; parsed by serde in the guest, settings cached there; no time or fuel limit",
            engine: Box::new(Kept(extism::Plugin::new_from_compiled(&compiled(settings, &plugin)?)?)),
            passes: 2,
        },
        Way {
            name: "Extism, new instance per event",
            of: "extism",
            licence: "BSD-3-Clause",
            measured: "an instance of the compiled plug-in, its settings, and a call with the JSON text",
            engine: Box::new(Fresh(compiled(settings, &plugin)?)),
            passes: 1,
        },
        Way {
            name: "regorus, virtual machine",
            of: "regorus",
            licence: "MIT AND Apache-2.0 AND BSD-3-Clause",
            measured: "JSON text parsed into its value, and the compiled program; the machine and its data are kept",
            engine: Box::new(Machine::new(settings)?),
            passes: 4,
        },
        Way {
            name: "regorus, interpreter",
            of: "regorus",
            licence: "MIT AND Apache-2.0 AND BSD-3-Clause",
            measured: "JSON text parsed into its value, and the rule evaluated; the engine and its data are kept",
            engine: Box::new(Interpreter::new(settings)?),
            passes: 4,
        },
        Way {
            name: "cel, two variables",
            of: "cel",
            licence: "MIT",
            measured: "JSON text parsed by serde into two fields, two variables in a scope of their own, and the compiled expression",
            engine: Box::new(Cel::new(settings)?),
            passes: 8,
        },
        Way {
            name: "Cedar",
            of: "cedar-policy",
            licence: "Apache-2.0",
            measured: "JSON text parsed into a context, a request of it, and the decision; policies, entities and authorizer are kept",
            engine: Box::new(Cedar::new(settings)?),
            passes: 1,
        },
    ])
}

fn compiled(settings: &str, plugin: &[u8]) -> Result<extism::CompiledPlugin, Problem> {
    let manifest = extism::Manifest::new([extism::Wasm::data(plugin)]).with_config_key("settings", settings);
    Ok(extism::PluginBuilder::new(manifest).with_wasi(false).compile()?)
}

fn call(plugin: &mut extism::Plugin, order: &str) -> Result<bool, Problem> {
    Ok(plugin.call::<&str, &[u8]>("judge", order)? == b"1")
}

struct Kept(extism::Plugin);

impl Engine for Kept {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        call(&mut self.0, order)
    }
}

struct Fresh(extism::CompiledPlugin);

impl Engine for Fresh {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        call(&mut extism::Plugin::new_from_compiled(&self.0)?, order)
    }
}

/// The categories become keys of an object, which is how Rego has sets in its data.
fn rego(settings: &str) -> Result<(&'static str, String), Problem> {
    const RULE: &str = "package peer\n\
        default reject := false\n\
        reject if data.listed[input.category]\n\
        reject if input.amount_cents > data.limit_cents\n";
    let settings: Value = serde_json::from_str(settings)?;
    let categories = settings["negative_categories"].as_array().ok_or("no negative_categories")?;
    let listed: serde_json::Map<String, Value> =
        categories.iter().map(|category| (category.as_str().unwrap_or_default().to_string(), Value::Bool(true))).collect();
    Ok((RULE, serde_json::json!({"listed": listed, "limit_cents": settings["limit_cents"]}).to_string()))
}

const ENTRY: &str = "data.peer.reject";

struct Machine(regorus::rvm::vm::RegoVM);

impl Machine {
    fn new(settings: &str) -> Result<Self, Problem> {
        let (rule, data) = rego(settings)?;
        let mut engine = regorus::Engine::new();
        engine.add_policy("peer.rego".into(), rule.into())?;
        engine.add_data_json(&data)?;
        let policy = engine.compile_with_entrypoint(&regorus::Rc::from(ENTRY))?;
        let program = regorus::languages::rego::compiler::Compiler::compile_from_policy(&policy, &[ENTRY])?;
        let mut machine = regorus::rvm::vm::RegoVM::new();
        machine.load_program(program);
        machine.set_data(regorus::Value::from_json_str(&data)?)?;
        Ok(Machine(machine))
    }
}

impl Engine for Machine {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        self.0.set_input(regorus::Value::from_json_str(order)?);
        Ok(self.0.execute()? == regorus::Value::Bool(true))
    }
}

struct Interpreter(regorus::Engine);

impl Interpreter {
    fn new(settings: &str) -> Result<Self, Problem> {
        let (rule, data) = rego(settings)?;
        let mut engine = regorus::Engine::new();
        engine.add_policy("peer.rego".into(), rule.into())?;
        engine.add_data_json(&data)?;
        Ok(Interpreter(engine))
    }
}

impl Engine for Interpreter {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        self.0.set_input_json(order)?;
        Ok(self.0.eval_rule(ENTRY.into())? == regorus::Value::Bool(true))
    }
}

struct Cel {
    program: cel::Program,
    settings: cel::Context<'static, 'static>,
}

impl Cel {
    fn new(settings: &str) -> Result<Self, Problem> {
        let program = cel::Program::compile("category in negative_categories || amount_cents > limit_cents")?;
        let settings: Value = serde_json::from_str(settings)?;
        let categories = settings["negative_categories"].as_array().ok_or("no negative_categories")?;
        let categories: Vec<cel::Value> = categories.iter().map(|category| category.as_str().unwrap_or_default().into()).collect();
        let mut context = cel::Context::default();
        context.add_variable_from_value("negative_categories", cel::Value::List(Arc::new(categories)));
        context.add_variable_from_value("limit_cents", cel::Value::Int(settings["limit_cents"].as_i64().ok_or("no limit_cents")?));
        Ok(Cel { program, settings: context })
    }
}

impl Engine for Cel {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        let order: Order = serde_json::from_str(order)?;
        let mut context = self.settings.new_inner_scope();
        context.add_variable_from_value("category", order.category);
        context.add_variable_from_value("amount_cents", cel::Value::Int(order.amount_cents));
        Ok(self.program.execute(&context)? == cel::Value::Bool(true))
    }
}

struct Cedar {
    authorizer: cedar_policy::Authorizer,
    policies: cedar_policy::PolicySet,
    entities: cedar_policy::Entities,
    uids: [cedar_policy::EntityUid; 3],
}

impl Cedar {
    fn new(settings: &str) -> Result<Self, Problem> {
        let settings: Value = serde_json::from_str(settings)?;
        let (listed, limit) = (&settings["negative_categories"], &settings["limit_cents"]);
        let policies = format!(
            "permit(principal, action, resource);\n\
             forbid(principal, action, resource) when {{ {listed}.contains(context.category) || context.amount_cents > {limit} }};"
        );
        Ok(Cedar {
            authorizer: cedar_policy::Authorizer::new(),
            policies: cedar_policy::PolicySet::from_str(&policies)?,
            entities: cedar_policy::Entities::empty(),
            uids: [r#"Platform::"shop""#.parse()?, r#"Action::"place""#.parse()?, r#"Order::"any""#.parse()?],
        })
    }
}

impl Engine for Cedar {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        let context = cedar_policy::Context::from_json_str(order, None)?;
        let [principal, action, resource] = self.uids.clone();
        let request = cedar_policy::Request::new(principal, action, resource, context, None)?;
        let answer = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(error.to_string().into());
        }
        Ok(answer.decision() == cedar_policy::Decision::Deny)
    }
}
