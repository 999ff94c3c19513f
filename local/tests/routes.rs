//! Checks that `cargo lambda watch`, which reads its routes from Cargo.toml, and API Gateway, which reads them from
//! template.yaml, have the same routes.

use std::collections::BTreeSet;
use std::path::Path;

use local::template::Template;

type Route = (String, String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn of_the_template() -> BTreeSet<Route> {
    let template = Template::load(&root().join("template.yaml"), "http://127.0.0.1:1").expect("a template");
    let routes = template.functions.iter().flat_map(|function| {
        function.routes.iter().map(|route| (route.method.clone(), route.path.clone(), function.name.clone()))
    });
    routes.collect()
}

fn of_cargo() -> BTreeSet<Route> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let router = manifest["workspace"]["metadata"]["lambda"]["watch"]["router"].as_table().expect("a table").clone();
    let routes = router.into_iter().flat_map(|(path, targets)| {
        let targets = targets.as_array().expect("a list").clone();
        targets.into_iter().map(move |target| {
            let field = |name: &str| target[name].as_str().expect("text").to_owned();
            (field("method"), path.clone(), field("function"))
        })
    });
    routes.collect()
}

#[test]
fn cargo_lambda_watch_has_the_routes_of_the_template() {
    assert_eq!(of_cargo(), of_the_template());
}

#[test]
fn every_function_is_in_the_template() {
    let template = Template::load(&root().join("template.yaml"), "http://127.0.0.1:1").expect("a template");
    let named: BTreeSet<String> = template.functions.into_iter().map(|function| function.name).collect();
    let folders = std::fs::read_dir(root().join("functions")).expect("the functions");
    let built: BTreeSet<String> =
        folders.map(|folder| folder.expect("a folder").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(built, named);
}
