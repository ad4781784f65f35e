"""Holds the units of measure that sensors report and goods are counted in, with exact factors.

    KIND: CODE factor [+offset] name; …        base = (value + offset) x factor

Codes and names are those of UN/ECE Recommendation 20. Where it gives a rounded factor, the
definition stands here: a pound is 0.45359237 kg, a pound-force that times 9.80665 m/s², a
torr the 760th part of an atmosphere. A factor is a decimal or the quotient of two. Angles have
the degree as their base, because no fraction leads from there to the radian: its factor is cut
after 50 digits. Kinds are named as GS1 names what is measured.

Pure: no I/O, no clock, no randomness.
"""

TABLE: dict[str, str] = {
    "mass": """
        KGM 1 kilogram; GRM 0.001 gram; MGM 1e-6 milligram; MC 1e-9 microgram; TNE 1000 tonne;
        2U 1000 megagram; KTN 1e6 kilotonne; DTN 100 decitonne; HGM 0.1 hectogram;
        DJ 0.01 decagram; DG 0.0001 decigram; CGM 0.00001 centigram; CTM 0.0002 metric carat;
        LBR 0.45359237 pound; ONZ 0.028349523125 ounce; GRN 0.00006479891 grain;
        APZ 0.0311034768 troy ounce; STI 6.35029318 stone (UK); STN 907.18474 short ton (US);
        LTN 1016.0469088 long ton (UK); CWA 45.359237 hundred pound (US);
        CWI 50.80234544 hundredweight (UK); M86 0.5 pfund; F13 4.4482216152605/0.3048 slug;
        D43 1.66053906660e-27 unified atomic mass unit
    """,
    "volume": """
        MTQ 1 cubic metre; LTR 0.001 litre; DMQ 0.001 cubic decimetre; MLT 1e-6 millilitre;
        CMQ 1e-6 cubic centimetre; MMQ 1e-9 cubic millimetre; CLT 0.00001 centilitre;
        DLT 0.0001 decilitre; A44 0.01 decalitre; HLT 0.1 hectolitre; K6 1 kilolitre;
        MAL 1000 megalitre; 4G 1e-9 microlitre; DMA 1000 cubic decametre;
        H19 1e6 cubic hectometre; H20 1e9 cubic kilometre; G26 1 stere;
        GLL 0.003785411784 gallon (US); GLI 0.00454609 gallon (UK);
        GLD 0.00440488377086 dry gallon (US); QTL 0.000946352946 liquid quart (US);
        QT 0.000946352946 quart (US); QTD 0.001101220942715 dry quart (US);
        QTI 0.0011365225 quart (UK); PTL 0.000473176473 liquid pint (US);
        PT 0.000473176473 pint (US); PTD 0.0005506104713575 dry pint (US);
        PTI 0.00056826125 pint (UK); GIA 0.00011829411825 gill (US);
        GII 0.0001420653125 gill (UK); OZA 0.0000295735295625 fluid ounce (US);
        OZI 0.0000284130625 fluid ounce (UK); G21 0.0002365882365 cup [unit of volume];
        G24 0.00001478676478125 tablespoon (US); G25 0.00000492892159375 teaspoon (US);
        BUA 0.03523907016688 bushel (US); BUI 0.03636872 bushel (UK);
        G23 0.00880976754172 peck; L43 0.00909218 peck (UK);
        BLL 0.158987294928 barrel (US) of petroleum; BLD 0.115627123584 dry barrel (US);
        FTQ 0.028316846592 cubic foot; INQ 0.000016387064 cubic inch;
        YDQ 0.764554857984 cubic yard; M70 2.8316846592 register ton; M68 3.624556363776 cord
    """,
    "length": """
        MTR 1 metre; CMT 0.01 centimetre; MMT 0.001 millimetre; DMT 0.1 decimetre;
        A45 10 decametre; HMT 100 hectometre; KMT 1000 kilometre; 4H 1e-6 micrometre;
        C45 1e-9 nanometre; C52 1e-12 picometre; A71 1e-15 femtometre; A11 1e-10 angstrom;
        INH 0.0254 inch; M7 2.54e-8 micro-inch; FOT 0.3048 foot;
        M51 1200/3937 foot (US survey); YRD 0.9144 yard; AK 1.8288 fathom;
        X1 20.1168 Gunter's chain; M50 201.168 furlong; SMI 1609.344 statute mile;
        NMI 1852 nautical mile; A12 149597870700 astronomical unit
    """,
    "area": """
        MTK 1 square metre; CMK 0.0001 square centimetre; MMK 1e-6 square millimetre;
        DMK 0.01 square decimetre; H30 1e-12 square micrometre; H16 100 square decametre;
        H18 10000 square hectometre; KMK 1e6 square kilometre; HAR 10000 hectare; ARE 100 are;
        DAA 1000 decare; FTK 0.09290304 square foot; INK 0.00064516 square inch;
        YDK 0.83612736 square yard; MIK 2589988.110336 square mile; ACR 4046.8564224 acre
    """,
    "time": """
        SEC 1 second; C26 0.001 millisecond; B98 1e-6 microsecond; C47 1e-9 nanosecond;
        H70 1e-12 picosecond; B52 1000 kilosecond; MIN 60 minute; HUR 3600 hour;
        DAY 86400 day; WEE 604800 week; DAD 864000 ten day
    """,
    "temperature": """
        KEL 1 kelvin; CEL 1 +273.15 degree Celsius; FAH 5/9 +459.67 degree Fahrenheit;
        A48 5/9 degree Rankine
    """,
    "pressure": """
        PAL 1 pascal; KPA 1000 kilopascal; A97 100 hectopascal; MPA 1e6 megapascal;
        A89 1e9 gigapascal; H75 10 decapascal; 74 0.001 millipascal; B96 1e-6 micropascal;
        BAR 100000 bar; MBR 100 millibar; B85 0.1 microbar; KBA 1e8 kilobar; HBA 1e7 hectobar;
        ATM 101325 standard atmosphere; ATT 98066.5 technical atmosphere; UA 101325/760 torr;
        HN 133.322387415 conventional millimetre of mercury;
        J89 1333.22387415 centimetre of mercury; F79 3386.388640341 inch of mercury;
        HP 9.80665 conventional millimetre of water;
        H78 98.0665 conventional centimetre of water; N23 9806.65 conventional metre of water;
        F78 249.08891 inch of water;
        PS 4.4482216152605/0.00064516 pound-force per square inch;
        84 4448.2216152605/0.00064516 kilopound-force per square inch;
        K85 4.4482216152605/0.09290304 pound-force per square foot;
        C55 1 newton per square metre; E01 10000 newton per square centimetre;
        C56 1e6 newton per square millimetre; KNM 1000 kilonewton per square metre;
        B40 9.80665 kilogram-force per square metre;
        E42 98066.5 kilogram-force per square centimetre;
        E41 9806650 kilogram-force per square millimetre
    """,
    "number": """
        C62 1 one; H87 1 piece; EA 1 each; NAR 1 number of articles; PR 2 pair;
        NPR 2 number of pairs; HD 6 half dozen; DZN 12 dozen; DPC 12 dozen piece;
        SCO 20 score; TPR 20 ten pair; DPR 24 dozen pair; GRO 144 gross; GGR 1728 great gross;
        CEN 100 hundred; HC 100 hundred count; MIL 1000 thousand; E12 1000 mille;
        T3 1000 thousand piece; MIO 1e6 million; UM 1e6 million unit; MLD 1e9 milliard;
        P1 0.01 percent; 60 0.01 percent weight; NX 0.001 part per thousand;
        E40 1e-5 part per hundred thousand; 59 1e-6 part per million;
        61 1e-9 part per billion (US); M29 1 kilogram per kilogram;
        GK 0.001 gram per kilogram; H64 0.001 milligram per gram;
        NA 1e-6 milligram per kilogram; J33 1e-9 microgram per kilogram;
        L32 1e-12 nanogram per kilogram; K62 1 litre per litre;
        L19 0.001 millilitre per litre; J36 1e-6 microlitre per litre;
        H60 1 cubic metre per cubic metre; H65 1e-6 millilitre per cubic metre;
        J87 1e-6 cubic centimetre per cubic metre; J91 0.001 cubic decimetre per cubic metre;
        L21 1e-9 cubic millimetre per cubic metre
    """,
    "speed": """
        MTS 1 metre per second; 2X 1/60 metre per minute; M60 1/3600 metre per hour;
        KMH 5/18 kilometre per hour; M62 1000 kilometre per second;
        2M 0.01 centimetre per second; H49 0.01/3600 centimetre per hour;
        C16 0.001 millimetre per second; H81 0.001/60 millimetre per minute;
        HM 0.44704 mile per hour; M57 26.8224 mile per minute; M58 1609.344 mile per second;
        KNT 1852/3600 knot; FS 0.3048 foot per second; FR 0.00508 foot per minute;
        K14 0.3048/3600 foot per hour; IU 0.0254 inch per second;
        M63 0.0254/60 inch per minute; M64 0.9144 yard per second;
        M65 0.01524 yard per minute; M66 0.000254 yard per hour
    """,
    "acceleration": """
        MSK 1 metre per second squared; M38 1000 kilometre per second squared;
        M39 0.01 centimetre per second squared; M41 0.001 millimetre per second squared;
        K40 9.80665 standard acceleration of free fall; A76 0.01 gal; C11 0.00001 milligal;
        A73 0.3048 foot per second squared; IV 0.0254 inch per second squared;
        M40 0.9144 yard per second squared; M42 1609.344 mile per second squared
    """,
    "density": """
        KMQ 1 kilogram per cubic metre; 23 1000 gram per cubic centimetre;
        GJ 1000 gram per millilitre; D41 1000 tonne per cubic metre;
        B35 1000 kilogram per litre; B34 1000 kilogram per cubic decimetre;
        B72 1000 megagram per cubic metre; G31 1e6 kilogram per cubic centimetre;
        A93 0.001 gram per cubic metre; GL 1 gram per litre; F23 1 gram per cubic decimetre;
        M1 0.001 milligram per litre; H29 1e-6 microgram per litre;
        GP 1e-6 milligram per cubic metre; GQ 1e-9 microgram per cubic metre;
        87 0.45359237/0.028316846592 pound per cubic foot;
        LA 0.45359237/0.000016387064 pound per cubic inch;
        GE 0.45359237/0.003785411784 pound per gallon (US);
        K71 0.45359237/0.00454609 pound per gallon (UK)
    """,
    "specific volume": """
        A39 1 cubic metre per kilogram; 22 0.1 decilitre per gram;
        H83 0.001 litre per kilogram; N28 0.001 cubic decimetre per kilogram;
        KX 1e-6 millilitre per kilogram; N29 0.028316846592/0.45359237 cubic foot per pound
    """,
    "surface density": """
        28 1 kilogram per square metre; GM 0.001 gram per square metre;
        GO 1e-6 milligram per square metre; 25 10 gram per square centimetre;
        H63 0.01 milligram per square centimetre; D5 10000 kilogram per square centimetre;
        37 0.028349523125/0.09290304 ounce per square foot;
        ON 0.028349523125/0.83612736 ounce per square yard
    """,
    "mass flow rate": """
        KGS 1 kilogram per second; F31 1/60 kilogram per minute; E93 1/3600 kilogram per hour;
        F29 0.001 gram per second; F27 0.001/3600 gram per hour; F26 0.001/86400 gram per day;
        F33 1e-6/60 milligram per minute; 4M 1e-6/3600 milligram per hour;
        2V 1000/3600 megagram per hour; L78 1000/60 tonne per minute;
        L81 1000 tonne per second; 4U 0.45359237/3600 pound per hour;
        K78 0.45359237/60 pound per minute; K81 0.45359237 pound per second
    """,
    "mass per area time": "H56 1 kilogram per square metre second",
    "volume flow rate": """
        MQS 1 cubic metre per second; MQH 1/3600 cubic metre per hour;
        G52 1/86400 cubic metre per day; G51 0.001 litre per second;
        L2 0.001/60 litre per minute; E32 0.001/3600 litre per hour;
        LD 0.001/86400 litre per day; J93 0.001 cubic decimetre per second;
        J92 0.001/60 cubic decimetre per minute; E92 0.001/3600 cubic decimetre per hour;
        2J 1e-6 cubic centimetre per second; G49 1e-6/60 cubic centimetre per minute;
        G48 1e-6/3600 cubic centimetre per hour; G47 1e-6/86400 cubic centimetre per day;
        40 1e-6 millilitre per second; 41 1e-6/60 millilitre per minute;
        G55 1e-6/3600 millilitre per hour; G54 1e-6/86400 millilitre per day;
        4X 1/3600 kilolitre per hour; E17 0.028316846592 cubic foot per second;
        2L 0.028316846592/60 cubic foot per minute;
        2K 0.028316846592/3600 cubic foot per hour; G2 0.003785411784/60 US gallon per minute;
        GB 0.003785411784/86400 gallon (US) per day;
        G3 0.00454609/60 Imperial gallon per minute;
        B1 0.158987294928/86400 barrel (US) per day;
        5A 0.158987294928/60 barrel (US) per minute
    """,
    "volumetric flux": "P87 1 cubic metre per second square metre",
    "force": """
        NEW 1 newton; B47 1000 kilonewton; B73 1e6 meganewton; C20 0.001 millinewton;
        B92 1e-6 micronewton; DU 1e-5 dyne; B37 9.80665 kilogram-force; B51 9.80665 kilopond;
        M78 0.00980665 pond; C78 4.4482216152605 pound-force;
        M75 4448.2216152605 kilopound-force;
        L40 0.27801385095378125 ounce (avoirdupois)-force; M76 0.138254954376 poundal
    """,
    "torque": """
        NU 1 newton metre; B48 1000 kilonewton metre; B74 1e6 meganewton metre;
        DN 0.1 decinewton metre; J72 0.01 centinewton metre; F88 0.01 newton centimetre;
        D83 0.001 millinewton metre; B93 1e-6 micronewton metre;
        B38 9.80665 kilogram-force metre; M92 1.3558179483314004 pound-force foot;
        F21 0.1129848290276167 pound-force inch; J94 1e-7 dyne centimetre; M97 1e-5 dyne metre
    """,
    "linear momentum": "B31 1 kilogram metre per second; C57 1 newton second",
    "angular momentum": "B33 1 kilogram metre squared per second; C53 1 newton metre second",
    "surface tension": """
        4P 1 newton per metre; C22 0.001 millinewton per metre; DX 0.001 dyne per centimetre;
        M23 100 newton per centimetre; N31 1000 kilonewton per metre
    """,
    "dynamic viscosity": """
        C65 1 pascal second; C24 0.001 millipascal second; 89 0.1 poise; C7 0.001 centipoise;
        N36 1 newton second per square metre; N37 1 kilogram per metre second
    """,
    "kinematic viscosity": """
        S4 1 square metre per second; C17 1e-6 square millimetre per second;
        M81 0.0001 square centimetre per second; 91 0.0001 stokes; 4C 1e-6 centistokes;
        S3 0.09290304 square foot per second
    """,
    "energy": """
        JOU 1 joule; KJO 1000 kilojoule; 3B 1e6 megajoule; GV 1e9 gigajoule;
        D30 1e12 terajoule; C68 1e15 petajoule; A68 1e18 exajoule; C15 0.001 millijoule;
        A70 1e-15 femtojoule; A13 1e-18 attojoule; J55 1 watt second; WHR 3600 watt hour;
        KWH 3.6e6 kilowatt hour; MWH 3.6e9 megawatt hour; GWH 3.6e12 gigawatt hour;
        D32 3.6e15 terawatt hour; A53 1.602176634e-19 electronvolt;
        B29 1.602176634e-16 kiloelectronvolt; B71 1.602176634e-13 megaelectronvolt;
        A85 1.602176634e-10 gigaelectronvolt; A57 1e-7 erg;
        D70 4.1868 calorie (international table);
        E14 4186.8 kilocalorie (international table); K53 4184 kilocalorie (thermochemical);
        E11 4.1868e9 gigacalorie (international table);
        BTU 1055.05585262 British thermal unit (international table);
        85 1.3558179483314004 foot pound-force
    """,
    "power": """
        WTT 1 watt; KWT 1000 kilowatt; MAW 1e6 megawatt; A90 1e9 gigawatt; D31 1e12 terawatt;
        C31 0.001 milliwatt; D80 1e-6 microwatt; C49 1e-9 nanowatt; C75 1e-12 picowatt;
        P14 1 joule per second; P18 1000 kilojoule per second;
        P20 1000/3600 kilojoule per hour; D46 1 volt ampere; KVA 1000 kilovolt ampere;
        HJ 735.49875 metric horse power; A25 735.49875 cheval vapeur;
        N12 735.49875 Pferdestaerke; K43 746 horsepower (electric);
        2I 1055.05585262/3600 British thermal unit (international table) per hour;
        A74 1.3558179483314004 foot pound-force per second; A63 1e-7 erg per second
    """,
    "irradiance": """
        D54 1 watt per square metre; C32 0.001 milliwatt per square metre;
        D85 1e-6 microwatt per square metre; N48 10000 watt per square centimetre
    """,
    "radiant intensity": "D57 1 watt per steradian",
    "voltage": """
        VLT 1 volt; 2Z 0.001 millivolt; D82 1e-6 microvolt; N99 1e-12 picovolt;
        KVT 1000 kilovolt; B78 1e6 megavolt
    """,
    "electric current": """
        AMP 1 ampere; 4K 0.001 milliampere; B84 1e-6 microampere; C39 1e-9 nanoampere;
        C70 1e-12 picoampere; B22 1000 kiloampere; H38 1e6 megaampere; N96 10 biot
    """,
    "electric current density": """
        A41 1 ampere per square metre; A4 10000 ampere per square centimetre;
        A7 1e6 ampere per square millimetre; B66 1e6 megaampere per square metre;
        B23 1000 kiloampere per square metre
    """,
    "electric charge": """
        COU 1 coulomb; D86 0.001 millicoulomb; B86 1e-6 microcoulomb; C40 1e-9 nanocoulomb;
        C71 1e-12 picocoulomb; B26 1000 kilocoulomb; D77 1e6 megacoulomb; A8 1 ampere second;
        N95 60 ampere minute; AMH 3600 ampere hour; E09 3.6 milliampere hour;
        TAH 3.6e6 kiloampere hour
    """,
    "resistance": """
        OHM 1 ohm; E45 0.001 milliohm; B94 1e-6 microohm; P22 1e-9 nanoohm; B49 1000 kiloohm;
        B75 1e6 megaohm; A87 1e9 gigaohm; H44 1e12 teraohm
    """,
    "resistivity": """
        C61 1 ohm metre; C60 0.01 ohm centimetre; C23 0.001 milliohm metre;
        B95 1e-6 microohm metre; C46 1e-9 nanoohm metre; B50 1000 kiloohm metre;
        B76 1e6 megaohm metre; A88 1e9 gigaohm metre
    """,
    "conductance": """
        SIE 1 siemens; C27 0.001 millisiemens; B99 1e-6 microsiemens; N92 1e-12 picosiemens;
        B53 1000 kilosiemens; NQ 1 mho; NR 1e-6 micromho
    """,
    "conductivity": """
        D10 1 siemens per metre; H43 100 siemens per centimetre;
        H61 0.1 millisiemens per centimetre; G42 0.0001 microsiemens per centimetre;
        G43 1e-6 microsiemens per metre; G44 1e-7 nanosiemens per centimetre;
        B54 1000 kilosiemens per metre; B77 1e6 megasiemens per metre
    """,
    "electric field strength": """
        D50 1 volt per metre; D47 100 volt per centimetre; D51 1000 volt per millimetre;
        C30 0.001 millivolt per metre; C3 1e-6 microvolt per metre;
        B55 1000 kilovolt per metre; B79 1e6 megavolt per metre; H23 1/0.0254 volt per inch
    """,
    "capacitance": """
        FAR 1 farad; C10 0.001 millifarad; 4O 1e-6 microfarad; C41 1e-9 nanofarad;
        4T 1e-12 picofarad; H48 1e-18 attofarad; N90 1000 kilofarad
    """,
    "inductance": """
        81 1 henry; C14 0.001 millihenry; B90 1e-6 microhenry; C43 1e-9 nanohenry;
        C73 1e-12 picohenry; P24 1000 kilohenry
    """,
    "magnetic flux": "WEB 1 weber; C33 0.001 milliweber; P11 1000 kiloweber; B65 1e-8 maxwell",
    "magnetic flux density": """
        D33 1 tesla; C29 0.001 millitesla; D81 1e-6 microtesla; C48 1e-9 nanotesla;
        P12 1e-9 gamma; P13 1000 kilotesla; 76 0.0001 gauss; 78 0.1 kilogauss
    """,
    "magnetic vector potential": """
        D59 1 weber per metre; B56 1000 kiloweber per metre; D60 1000 weber per millimetre
    """,
    "luminous intensity": "CDL 1 candela; P33 1000 kilocandela; P34 0.001 millicandela",
    "luminous flux": "LUM 1 lumen",
    "luminance": """
        A24 1 candela per square metre; P28 1/0.00064516 candela per square inch;
        P32 1/0.09290304 candela per square foot
    """,
    "illuminance": """
        LUX 1 lux; KLX 1000 kilolux; B60 1 lumen per square metre; P26 10000 phot;
        P25 1/0.09290304 lumen per square foot; P27 1/0.09290304 footcandle
    """,
    "frequency": """
        HTZ 1 hertz; KHZ 1000 kilohertz; MHZ 1e6 megahertz; A86 1e9 gigahertz;
        D29 1e12 terahertz; C97 1 reciprocal second; C94 1/60 reciprocal minute;
        BPM 1/60 beats per minute
    """,
    "wavenumber": """
        C92 1 reciprocal metre; E90 100 reciprocal centimetre; C85 1e10 reciprocal angstrom
    """,
    "angle": """
        DD 1 degree [unit of angle]; D61 1/60 minute [unit of angle];
        D62 1/3600 second [unit of angle]; A91 0.9 gon; M43 0.05625 mil; M44 360 revolution;
        C81 57.29577951308232087679815481410517033240547246656432 radian;
        C25 0.05729577951308232087679815481410517033240547246656432 milliradian;
        B97 0.00005729577951308232087679815481410517033240547246656432 microradian
    """,
    "solid angle": "D27 1 steradian",
    "angular velocity": """
        E96 1 degree per second; RPS 360 revolutions per second; RPM 6 revolutions per minute;
        M46 6 revolution per minute;
        2A 57.29577951308232087679815481410517033240547246656432 radian per second
    """,
    "angular acceleration": """
        M45 1 degree per second squared;
        2B 57.29577951308232087679815481410517033240547246656432 radian per second squared
    """,
    "amount of substance": """
        C34 1 mole; C18 0.001 millimole; FH 1e-6 micromole; B45 1000 kilomole
    """,
    "amount of substance per unit volume": """
        C36 1 mole per cubic metre; C35 1000 mole per cubic decimetre;
        C38 1000 mole per litre; M33 1 millimole per litre; B46 1000 kilomole per cubic metre
    """,
    "molality of solute": """
        C19 1 mole per kilogram; D87 0.001 millimole per kilogram; H68 1 millimole per gram
    """,
    "molar mass": "D74 1 kilogram per mole; A94 0.001 gram per mole",
    "molar volume": """
        A40 1 cubic metre per mole; A37 0.001 cubic decimetre per mole;
        B58 0.001 litre per mole; A36 1e-6 cubic centimetre per mole
    """,
    "molar energy": "B15 1 joule per mole; B44 1000 kilojoule per mole",
    "radioactivity": """
        BQL 1 becquerel; H08 1e-6 microbecquerel; 2Q 1000 kilobecquerel; 4N 1e6 megabecquerel;
        GBQ 1e9 gigabecquerel; CUR 3.7e10 curie; MCU 3.7e7 millicurie; M5 3.7e4 microcurie;
        2R 3.7e13 kilocurie
    """,
    "absorbed dose": "A95 1 gray; C13 0.001 milligray; C80 0.01 rad; A61 0.0001 erg per gram",
    "absorbed dose rate": """
        A96 1 gray per second; P54 0.001 milligray per second; P55 1e-6 microgray per second;
        P56 1e-9 nanogray per second; P57 1/60 gray per minute;
        P58 0.001/60 milligray per minute; P59 1e-6/60 microgray per minute;
        P60 1e-9/60 nanogray per minute; P61 1/3600 gray per hour;
        P62 0.001/3600 milligray per hour; P63 1e-6/3600 microgray per hour;
        P64 1e-9/3600 nanogray per hour
    """,
    "dose equivalent": """
        D13 1 sievert; C28 0.001 millisievert; D91 0.01 rem;
        L31 0.00001 milliroentgen aequivalent men
    """,
    "dose equivalent rate": """
        P65 1 sievert per second; P66 0.001 millisievert per second;
        P67 1e-6 microsievert per second; P68 1e-9 nanosievert per second;
        P69 0.01 rem per second; P70 1/3600 sievert per hour;
        P71 0.001/3600 millisievert per hour; P72 1e-6/3600 microsievert per hour;
        P73 1e-9/3600 nanosievert per hour; P74 1/60 sievert per minute;
        P75 0.001/60 millisievert per minute; P76 1e-6/60 microsievert per minute;
        P77 1e-9/60 nanosievert per minute
    """,
    "exposure": """
        CKG 1 coulomb per kilogram; C8 0.001 millicoulomb per kilogram; 2C 0.000258 roentgen;
        2Y 2.58e-7 milliroentgen; KR 0.258 kiloroentgen
    """,
    "memory capacity": """
        A99 1 bit; C37 1000 kilobit; D36 1e6 megabit; B68 1e9 gigabit; E83 1e12 terabit;
        C21 1024 kibibit; D11 1048576 mebibit; AD 8 byte; 2P 8000 kilobyte; 4L 8e6 megabyte;
        E34 8e9 gigabyte; E35 8e12 terabyte; E36 8e15 petabyte; E64 8192 kibibyte;
        E63 8388608 mebibyte; E62 8589934592 gibibyte; E61 8796093022208 tebibyte
    """,
}
