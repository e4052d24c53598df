//! What a channel measures: one table of units and of the classes that Home Assistant knows.

/// A row for each quantity: its name, its unit, and its class in Home Assistant, where that unit is one of the class.
macro_rules! quantities {
    ($($(#[$doc:meta])* $Name:ident: $unit:literal, $class:literal;)*) => {
        /// What a channel measures; each has one unit, in which all its readings are given.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Quantity {
            $($(#[$doc])* $Name,)*
        }

        impl Quantity {
            /// Every quantity there is.
            pub const ALL: &[Self] = &[$(Self::$Name),*];

            /// The unit's symbol; empty for what has none.
            pub fn unit(self) -> &'static str {
                match self {
                    $(Self::$Name => $unit,)*
                }
            }

            /// What Home Assistant calls it, for its icon and for conversions: the `device_class` of a sensor or a number.
            /// <https://www.home-assistant.io/integrations/sensor/#device-class>
            pub fn device_class(self) -> Option<&'static str> {
                let class = match self {
                    $(Self::$Name => $class,)*
                };
                Some(class).filter(|class| !class.is_empty())
            }
        }
    };
}

quantities! {
    /// °C
    Temperature: "°C", "temperature";
    /// % relative humidity
    Humidity: "%", "humidity";
    /// hPa
    Pressure: "hPa", "atmospheric_pressure";
    /// V
    Voltage: "V", "voltage";
    /// %, of a soil between its dry and its wet calibration point
    Moisture: "%", "moisture";
}
