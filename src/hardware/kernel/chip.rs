//! Which GPIO chip a pin's number is of. Pure, but for the list of chips.

use std::path::{Path, PathBuf};

use gpiocdev::Chip;

/// What the chip of a Raspberry Pi's header is called: up to the Pi 3, the Pi 4, the Pi 5. Its number changes from kernel to kernel.
const HEADER: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Where there is no such chip.
const FIRST: &str = "/dev/gpiochip0";

/// The chip that drives the pins: the one that is named in the configuration, a Raspberry Pi's header, or the first.
pub(super) fn find(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| choose(&labels()), Path::to_owned)
}

/// The chips that we may open, each with its label. Whoever may open none gets the error from the first one.
fn labels() -> Vec<(PathBuf, String)> {
    let label = |path: PathBuf| Some((path.clone(), Chip::from_path(path).ok()?.info().ok()?.label));
    gpiocdev::chip::chips().unwrap_or_default().into_iter().filter_map(label).collect()
}

fn choose(chips: &[(PathBuf, String)]) -> PathBuf {
    let header = chips.iter().find(|(_, label)| HEADER.contains(&label.as_str()));
    header.map_or_else(|| FIRST.into(), |(path, _)| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pis_header_is_found_by_its_label_and_elsewhere_it_is_the_first_chip() {
        let cases: [(&[&str], &str); 6] = [
            (&["pinctrl-bcm2835", "raspberrypi-exp-gpio"], "/dev/gpiochip0"),
            (&["raspberrypi-exp-gpio", "pinctrl-bcm2711"], "/dev/gpiochip1"),
            (&["gpio-brcmstb@107d508500", "gpio-brcmstb@107d508520", "pinctrl-rp1"], "/dev/gpiochip2"),
            (&["gpio0", "gpio1"], "/dev/gpiochip0"),
            (&["gpio0", "pinctrl-rp1-other"], "/dev/gpiochip0"),
            (&[], "/dev/gpiochip0"),
        ];
        for (labels, expected) in cases {
            let chips: Vec<_> =
                (0..).zip(labels).map(|(n, label)| (format!("/dev/gpiochip{n}").into(), (*label).to_owned())).collect();
            assert_eq!(choose(&chips), Path::new(expected), "{labels:?}");
        }
        assert_eq!(find(Some(Path::new("/dev/gpiochip3"))), Path::new("/dev/gpiochip3"));
    }
}
