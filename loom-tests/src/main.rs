//! Runs the models, or weakens each ordering under them. `ci/loom.sh` and `ci/orderings.sh` call it.

#[cfg(not(loom))]
fn main() {
    eprintln!("build with RUSTFLAGS=\"--cfg loom\" and --profile loom, as ci/loom.sh does");
    std::process::exit(2);
}

#[cfg(loom)]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(loom)]
mod program {
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::time::Duration;

    use loom_tests::campaign::{self, End};
    use loom_tests::{Explore, Form, MOST, Search, all, orderings, rows, search};

    const USAGE: &str = "usage: loom-tests models [--plain] [--long [--most N]] [--done FILE] [--minutes M] [NAME...]
       loom-tests orderings [--plain] [--learn] [--sound] [--with NAME,NAME...] [HALF...]
       loom-tests list

models:    explores all models, or those named. --done passes over the models of FILE, and notes there what
           it has been through; --minutes begins none after M minutes (exit 3). --long cuts a model after about
           N executions (1,000,000) of an exploration, and says so. --plain leaves the search to loom alone, which
           explores the same things many times.
orderings: weakens each half of each row of docs/protocol*.md, or those named. --with asks these models
           alone; --learn writes down who caught what; --sound explores the catchers whole without a plant.";

    struct Args {
        flags: Vec<(String, String)>,
        names: Vec<String>,
    }

    impl Args {
        /// `Err` for an option that is not one of `switches` or `options`.
        fn parse(args: impl Iterator<Item = String>, switches: &[&str], options: &[&str]) -> Result<Self, String> {
            let (mut flags, mut names, mut args) = (vec![], vec![], args);
            while let Some(arg) = args.next() {
                if switches.contains(&&*arg) {
                    flags.push((arg, String::new()));
                } else if options.contains(&&*arg) {
                    let value = args.next().ok_or(format!("{arg} needs a value"))?;
                    flags.push((arg, value));
                } else if arg.starts_with('-') {
                    return Err(format!("{arg} is no option"));
                } else {
                    names.push(arg);
                }
            }
            Ok(Self { flags, names })
        }

        fn get(&self, flag: &str) -> Option<&str> {
            self.flags.iter().find(|(f, _)| f == flag).map(|(_, value)| &**value)
        }
    }

    impl Args {
        fn search(&self) -> Search {
            if self.get("--plain").is_some() { Search::Plain } else { Search::Once }
        }
    }

    /// The models of these names, or all.
    fn chosen(names: &[String]) -> Result<Vec<&'static dyn Explore>, String> {
        let all = all();
        if names.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| all.iter().copied().find(|m| m.name() == *name);
        names.iter().map(|name| find(name).ok_or(format!("no model is called {name}"))).collect()
    }

    fn models(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
        let args = Args::parse(args, &["--long", "--plain"], &["--done", "--minutes", "--most"])?;
        search(args.search());
        let most = args.get("--most").map_or(Ok(MOST), |most| most.parse().map_err(|e| format!("--most: {e}")))?;
        let form = if args.get("--long").is_some() { Form::Long { most } } else { Form::Gate };
        let minutes = args.get("--minutes").map(|m| m.parse::<f64>().map_err(|e| format!("--minutes: {e}")));
        let time = minutes.transpose()?.map(|m| Duration::from_secs_f64(m * 60.0));
        let done = args.get("--done").map(PathBuf::from);
        let end = campaign::run(&chosen(&args.names)?, form, done.as_deref(), time).map_err(|e| e.to_string())?;
        Ok(match end {
            End::Passed => ExitCode::SUCCESS,
            End::Failed => ExitCode::FAILURE,
            End::Interrupted => ExitCode::from(3),
        })
    }

    fn orderings(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
        let args = Args::parse(args, &["--learn", "--sound", "--plain"], &["--with"])?;
        search(args.search());
        let mut halves = rows::halves().map_err(|e| e.to_string())?;
        if let Some(name) = args.names.iter().find(|name| halves.iter().all(|half| half.name != **name)) {
            return Err(format!("no row of the documents has the half {name}"));
        }
        halves.retain(|half| args.names.is_empty() || args.names.contains(&half.name));
        let with: Vec<_> =
            args.get("--with").into_iter().flat_map(|names| names.split(',')).map(String::from).collect();
        let sound = if args.get("--sound").is_some() { Form::Planted } else { Form::Sampled };
        let fine = orderings::run(&halves, &chosen(&with)?, args.get("--learn").is_some(), sound);
        let fine = fine.map_err(|e| e.to_string())?;
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(super) fn main() -> ExitCode {
        let mut args = std::env::args().skip(1);
        let result = match args.next().as_deref() {
            Some("models") => models(args),
            Some("orderings") => orderings(args),
            Some("list") => {
                all().iter().for_each(|model| println!("{}", model.name()));
                Ok(ExitCode::SUCCESS)
            }
            _ => Err(String::from("what?")),
        };
        result.unwrap_or_else(|e| {
            eprintln!("{e}\n{USAGE}");
            ExitCode::from(2)
        })
    }
}
