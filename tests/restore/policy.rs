//! Policies of the tests, written as an operator writes them.

/// Which links.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// The whole host.
    Whole,
    /// These links.
    Links(&'static [&'static str]),
}

/// A policy in the making.
#[derive(Clone, Debug)]
pub struct Policy {
    name: &'static str,
    scope: String,
    methods: String,
    routes: String,
    lifelines: String,
    limits: &'static str,
}

/// A policy that uses these methods, for at most an hour.
pub fn policy(name: &'static str, scope: Scope, methods: &[&str]) -> Policy {
    let scope = match scope {
        Scope::Whole => "interfaces = [\"*\"]".to_owned(),
        Scope::Links(names) => format!("interfaces = {names:?}"),
    };
    Policy {
        name,
        scope,
        methods: format!("{methods:?}"),
        routes: String::new(),
        lifelines: String::new(),
        limits: "default = \"10m\"\nmaximum = \"30m\"\ntotal = \"1h\"",
    }
}

impl Policy {
    /// With settings of `routes`.
    pub fn routes(mut self, settings: &str) -> Self {
        self.routes = format!("[methods.routes]\n{settings}\n");
        self
    }

    /// With a lifeline: UDP to the given port of these peers, begun by this host.
    pub fn lifeline(mut self, peers: &[&str], port: u16) -> Self {
        self.lifelines += &format!(
            "[[lifelines]]\nname = \"udp\"\npeers = {peers:?}\nprotocol = \"udp\"\nports = [{port}]\ndirection = \"out\"\n"
        );
        self
    }

    /// Whether it gates every link of the host.
    pub fn gates_everything(&self) -> bool {
        self.methods.contains("gate") && self.scope.contains('*')
    }

    /// The name and the text of its file.
    pub fn file(&self) -> (&'static str, String) {
        let Self {
            name,
            scope,
            methods,
            routes,
            lifelines,
            limits,
        } = self;
        let text = format!(
            "schema = 1\nname = \"{name}\"\nsummary = \"A cut of a test\"\ndeclared-for = [\"exercise\"]\n\
             affects = \"own-hosts\"\n\n[scope]\n{scope}\nfamilies = [\"ipv4\", \"ipv6\"]\n\
             directions = [\"in\", \"out\", \"forward\"]\n\n[methods]\nuse = {methods}\n{routes}\n{lifelines}\n\
             [limits]\n{limits}\n\n[fail]\ncrash = \"closed\"\nreboot = \"open\"\nlifeline-lost = \"open\"\n"
        );
        (name, text)
    }
}
