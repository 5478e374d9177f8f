//! Secrets on the command line do not stay in the process list.
//!
//! The kernel shows a process's arguments from the process's own memory, so they are overwritten there, first thing. Between
//! exec and this moment they are visible; that is why they are warned about. For every program that takes the flags of
//! [`crate::settings::flags`]; does nothing unless called.

/// Flags whose values are secret, in every spelling.
const SECRET: [&str; 3] = ["accessKey", "access-key", "password"];

/// Where, in each argument, secret bytes lie: (argument, first byte, length).
fn find(args: &[Vec<u8>]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    let mut next_is = Next::Other;
    for (at, arg) in args.iter().enumerate().skip(1) {
        let text = arg.as_slice();
        match std::mem::replace(&mut next_is, Next::Other) {
            Next::Secret => found.push((at, 0, text.len())),
            Next::Options => options(at, 0, text, &mut found),
            Next::Other => {
                if text == b"-o" {
                    next_is = Next::Options;
                } else if text.starts_with(b"-o") {
                    options(at, 2, text, &mut found);
                } else if let Some(name) = text.strip_prefix(b"--") {
                    if SECRET.iter().any(|s| s.as_bytes() == name) {
                        next_is = Next::Secret;
                    } else if let Some(start) = value_start(name) {
                        found.push((at, 2 + start, name.len() - start));
                    }
                }
            }
        }
    }
    found
}

enum Next {
    Secret,
    Options,
    Other,
}

/// Where the value of `name=value` starts, if the name is a secret one's.
fn value_start(option: &[u8]) -> Option<usize> {
    let at = option.iter().position(|b| *b == b'=')?;
    SECRET.iter().any(|s| s.as_bytes() == &option[..at]).then_some(at + 1)
}

fn options(arg: usize, mut start: usize, text: &[u8], found: &mut Vec<(usize, usize, usize)>) {
    while start < text.len() {
        let mut end = start;
        while end < text.len() && text[end] != b',' {
            // An escaped comma belongs to the value.
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(text.len());
        if let Some(value) = value_start(&text[start..end]) {
            found.push((arg, start + value, end - start - value));
        }
        start = end + 1;
    }
}

/// Overwrites secret arguments of this process where the process list reads them. Answers whether there were any.
///
/// Must be called while no other thread runs. The arguments that `std::env::args` hands out afterwards are the
/// overwritten ones, so collect them first.
pub fn hide() -> bool {
    let Ok(cmdline) = std::fs::read("/proc/self/cmdline") else { return false };
    let args: Vec<Vec<u8>> = cmdline.split(|b| *b == 0).map(<[u8]>::to_vec).collect();
    let secrets = find(&args);
    let Some(area) = argument_area().filter(|area| area.1 >= cmdline.len()) else { return !secrets.is_empty() };
    for (arg, start, len) in &secrets {
        let before: usize = args[..*arg].iter().map(|a| a.len() + 1).sum();
        // SAFETY: the kernel says where the arguments lie in this process's writable stack, /proc/self/cmdline is
        // exactly that area, and `before + start + len` is inside it. No other thread runs yet.
        unsafe { std::ptr::write_bytes((area.0 + before + start) as *mut u8, b'x', *len) };
    }
    !secrets.is_empty()
}

/// Address and length of the argument strings: fields 48 and 49 of /proc/self/stat.
fn argument_area() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name, may hold spaces; it ends with the last parenthesis.
    let rest = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let start: usize = fields.get(48 - 3)?.parse().ok()?;
    let end: usize = fields.get(49 - 3)?.parse().ok()?;
    (start != 0 && end > start).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(args: &[&str]) -> Vec<String> {
        let mut bytes: Vec<Vec<u8>> = args.iter().map(|a| a.as_bytes().to_vec()).collect();
        for (arg, start, len) in find(&bytes.clone()) {
            bytes[arg][start..start + len].fill(b'x');
        }
        bytes.into_iter().map(|b| String::from_utf8(b).unwrap()).collect()
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let args =
            ["s3b", "--accessKey=abc", "--access-key", "de", "--password=p=q", "-o", "ro,accessKey=k\\,l,size=1g"];
        let want =
            ["s3b", "--accessKey=xxx", "--access-key", "xx", "--password=xxx", "-o", "ro,accessKey=xxxx,size=1g"];
        assert_eq!(masked(&args), want);
        assert_eq!(masked(&["s3b", "-opassword=zz,ro"]), ["s3b", "-opassword=xx,ro"]);
        let plain = ["s3b", "--passwordFile=f", "--accessKeyEnv=V", "--accessId=i", "password=visible"];
        assert_eq!(masked(&plain), plain);
    }
}
