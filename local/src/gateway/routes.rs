//! Maps requests to functions.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Method;

use crate::template::Template;

/// The routes of the template.
#[derive(Debug)]
pub(super) struct Routes {
    paths: matchit::Router<HashMap<String, Route>>,
}

/// A route of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The route key of API Gateway, such as `GET /logs/{agent_id}/{user_id}`.
    pub key: String,
    /// The timeout of the route's function.
    pub timeout: Duration,
}

impl Routes {
    /// Reads the routes of `template`.
    pub fn of(template: &Template) -> Result<Self> {
        let mut by_path: HashMap<&str, HashMap<String, Route>> = HashMap::new();
        for function in &template.functions {
            for route in &function.routes {
                let methods = by_path.entry(&route.path).or_default();
                let key = format!("{} {}", route.method, route.path);
                if methods.insert(route.method.clone(), Route { key, timeout: function.timeout }).is_some() {
                    bail!("two functions have the route {} {}", route.method, route.path);
                }
            }
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            paths.insert(path, methods).with_context(|| format!("the route {path}"))?;
        }
        Ok(Self { paths })
    }

    /// Returns the route for `method` and `path`, or `None` if there is no such route. The path is matched as sent: an
    /// encoded slash is not a separator.
    pub fn find(&self, method: &Method, path: &str) -> Option<&Route> {
        let found = self.paths.at(path).ok()?;
        // API Gateway does not accept empty path parameters.
        if found.params.iter().any(|(_, value)| value.is_empty()) {
            return None;
        }
        let methods = found.value;
        methods.get(method.as_str()).or_else(|| methods.get("ANY"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(routes: &[(&str, &str)]) -> Result<Routes> {
        let function = |(index, (method, path)): (usize, &(&str, &str))| {
            format!(
                "  F{index}:\n    Type: AWS::Serverless::Function\n    \
                 Metadata: {{ BuildProperties: {{ Binary: f{index} }} }}\n    Properties:\n      \
                 Timeout: {index}\n      \
                 Events: {{ A: {{ Type: HttpApi, Properties: {{ Method: {method}, Path: \"{path}\" }} }} }}\n"
            )
        };
        let functions: String = routes.iter().enumerate().map(function).collect();
        Routes::of(&Template::parse(&format!("Resources:\n{functions}"), "").expect("a template"))
    }

    #[test]
    fn a_route_is_a_method_and_a_path_as_it_was_sent() {
        let routes = routes(&[("GET", "/logs/{agent}/{user}"), ("POST", "/log"), ("ANY", "/all")]).expect("routes");
        let find = |method: Method, path: &str| routes.find(&method, path).map(|route| route.timeout.as_secs());
        assert_eq!(find(Method::GET, "/logs/a/b"), Some(0));
        assert_eq!(find(Method::GET, "/logs/a/b%2Fc"), Some(0));
        assert_eq!(find(Method::GET, "/logs/a/.."), Some(0));
        assert_eq!(find(Method::POST, "/log"), Some(1));
        assert_eq!(find(Method::DELETE, "/all"), Some(2));
        let key = routes.find(&Method::GET, "/logs/a/b").map(|route| route.key.as_str());
        assert_eq!(key, Some("GET /logs/{agent}/{user}"));
        for (method, path) in [
            (Method::POST, "/logs/a/b"),
            (Method::HEAD, "/logs/a/b"),
            (Method::GET, "/logs/a"),
            (Method::GET, "/logs/a/b/"),
            (Method::GET, "/logs/a/b/c"),
            (Method::GET, "/logs//b"),
            (Method::POST, "/LOG"),
            (Method::GET, ""),
            (Method::GET, "/"),
        ] {
            assert_eq!(find(method.clone(), path), None, "{method} {path}");
        }
    }

    #[test]
    fn two_functions_cannot_have_one_route() {
        let error = routes(&[("GET", "/a"), ("GET", "/a")]).expect_err("a contradiction");
        assert!(error.to_string().contains("GET /a"), "{error}");
    }
}
