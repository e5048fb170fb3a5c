"""The small table of SNOMED CT codes: value, meaning, and the names that mean it.

The values and meanings are those that DICOM's context groups use (PS3.16, CID 7151 and others).
"""

from __future__ import annotations

ANATOMY = """
10200004|Liver|liver, hepar
78961009|Spleen|spleen
64033007|Kidney|kidney
15776009|Pancreas|pancreas
28231008|Gallbladder|gallbladder, gall bladder
69695003|Stomach|stomach
38848004|Duodenum|duodenum
30315005|Small intestine|small intestine, small bowel
21306003|Jejunum|jejunum
34516001|Ileum|ileum
71854001|Colon|colon, large intestine, large bowel
32713005|Cecum|cecum, caecum
60184004|Sigmoid colon|sigmoid, sigmoid colon
34402009|Rectum|rectum
32849002|Esophagus|esophagus, oesophagus
44567001|Trachea|trachea
955009|Bronchus|bronchus
39607008|Lung|lung
45653009|Upper lobe of lung|upper lobe lung, lung upper lobe
72481006|Middle lobe of right lung|middle lobe right lung, lung middle lobe right
90572001|Lower lobe of lung|lower lobe lung, lung lower lobe
80891009|Heart|heart
76848001|Pericardium|pericardium
59652004|Atrium|atrium, heart atrium
21814001|Ventricle|heart ventricle
49848007|Left Ventricle Myocardium|myocardium, heart myocardium
15825003|Aorta|aorta
54247002|Ascending aorta|ascending aorta
57034009|Aortic arch|aortic arch
281130003|Descending aorta|descending aorta
113262008|Thoracic aorta|thoracic aorta
7832008|Abdominal aorta|abdominal aorta
64131007|Inferior vena cava|inferior vena cava, ivc
48345005|Superior vena cava|superior vena cava, svc
32764006|Portal vein|portal vein
81040000|Pulmonary artery|pulmonary artery
122972007|Pulmonary vein|pulmonary vein
32062004|Common carotid artery|common carotid artery
86117002|Internal carotid artery|internal carotid artery
69105007|Carotid Artery|carotid artery, carotid
36765005|Subclavian artery|subclavian artery
12691009|brachiocephalic trunk|brachiocephalic trunk
8887007|Brachiocephalic vein|brachiocephalic vein
10293006|Iliac artery|iliac artery
244411005|Iliac vein|iliac vein
2841007|Renal artery|renal artery
56400007|Renal vein|renal vein
8993003|Hepatic vein|hepatic vein
12738006|Brain|brain
372073000|Cerebral hemisphere|cerebral hemisphere
113305005|Cerebellum|cerebellum
119238007|Brain Stem|brain stem, brainstem
42695009|Thalamus|thalamus
5366008|Hippocampus|hippocampus
4958002|Amygdala|amygdala
11000004|Caudate Nucleus|caudate nucleus, caudate
89278009|Putamen|putamen
14738005|Globus Pallidus|globus pallidus, pallidum
66720007|Lateral Ventricle|lateral ventricle
88442005|Corpus callosum|corpus callosum
56329008|Pituitary|pituitary, pituitary gland
18234004|optic nerve|optic nerve
244453006|Optic chiasm|optic chiasm
81745001|Eye|eye
79652003|Eyeball|eyeball
2748008|Spinal cord|spinal cord
89546000|Skull|skull
91609006|Mandible|mandible
70925003|Maxilla|maxilla
69748006|Thyroid|thyroid, thyroid gland
45289007|Parotid gland|parotid gland, parotid
54019009|Submandibular gland|submandibular gland
4596009|Larynx|larynx
54066008|Pharynx|pharynx
21974007|Tongue|tongue
76752008|Breast|breast
9875009|Thymus|thymus
41216001|Prostate|prostate
64739004|Seminal Vesicle|seminal vesicle
89837001|Bladder|bladder, urinary bladder
13648007|Urethra|urethra
87953007|Ureter|ureter
35039007|Uterus|uterus
15497006|Ovary|ovary
40689003|Testis|testis
23451007|Adrenal gland|adrenal gland, adrenal
51282000|Vertebra|vertebra
54735007|Sacrum|sacrum
64688005|Coccyx|coccyx
113197003|Rib|rib
56873002|Sternum|sternum
51299004|Clavicle|clavicle, clavicula
79601000|Scapula|scapula
85050009|Humerus|humerus
23416004|Ulna|ulna
71341001|Femur|femur
2812003|Femoral head|femoral head
12611008|Tibia|tibia
87342007|Fibula|fibula
64234005|Patella|patella
29836001|Hip|hip
5798000|Diaphragm|diaphragm
72410000|Mediastinum|mediastinum
14806007|C1 vertebra|c1, c1 vertebra, vertebra c1, vertebrae c1
39976000|C2 vertebra|c2, c2 vertebra, vertebra c2, vertebrae c2
113205007|C3 vertebra|c3, c3 vertebra, vertebra c3, vertebrae c3
5329002|C4 vertebra|c4, c4 vertebra, vertebra c4, vertebrae c4
36978003|C5 vertebra|c5, c5 vertebra, vertebra c5, vertebrae c5
36054005|C6 vertebra|c6, c6 vertebra, vertebra c6, vertebrae c6
87391001|C7 vertebra|c7, c7 vertebra, vertebra c7, vertebrae c7
64864005|T1 vertebra|t1 vertebra, vertebra t1, vertebrae t1
53733008|T2 vertebra|t2 vertebra, vertebra t2, vertebrae t2
1626008|T3 vertebra|t3 vertebra, vertebra t3, vertebrae t3
73071006|T4 vertebra|t4 vertebra, vertebra t4, vertebrae t4
56401006|T5 vertebra|t5 vertebra, vertebra t5, vertebrae t5
45296009|T6 vertebra|t6 vertebra, vertebra t6, vertebrae t6
62487009|T7 vertebra|t7 vertebra, vertebra t7, vertebrae t7
11068009|T8 vertebra|t8 vertebra, vertebra t8, vertebrae t8
82687006|T9 vertebra|t9 vertebra, vertebra t9, vertebrae t9
7610001|T10 vertebra|t10 vertebra, vertebra t10, vertebrae t10
12989004|T11 vertebra|t11 vertebra, vertebra t11, vertebrae t11
23215003|T12 vertebra|t12 vertebra, vertebra t12, vertebrae t12
66794005|L1 vertebra|l1, l1 vertebra, vertebra l1, vertebrae l1
14293000|L2 vertebra|l2, l2 vertebra, vertebra l2, vertebrae l2
36470004|L3 vertebra|l3, l3 vertebra, vertebra l3, vertebrae l3
11994002|L4 vertebra|l4, l4 vertebra, vertebra l4, vertebrae l4
49668003|L5 vertebra|l5, l5 vertebra, vertebra l5, vertebrae l5
59441001|Lymph Node|lymph node, node
"""

TISSUE = """
85756007|Tissue|tissue
87784001|Soft tissue|soft tissue
71616004|Muscle|muscle
3138006|Bone|bone
39937001|Skin|skin
55603005|Fat|fat, adipose tissue
71966008|Subcutaneous tissue|subcutaneous tissue
309312004|Cartilage|cartilage
389080008|White Matter|white matter
389081007|Gray Matter|gray matter, grey matter
"""

ABNORMAL = """
52988006|Lesion|lesion
27925004|Nodule|nodule
4147007|Mass|mass
108369006|Neoplasm|neoplasm, tumor, tumour
128462008|Metastasis|metastasis, metastases, met
367643001|Cyst|cyst
79654002|Edema|edema, oedema
50960005|Hemorrhage|hemorrhage, haemorrhage, bleeding
35566002|Hematoma|hematoma, haematoma
396339007|Thrombus|thrombus
55584005|Embolus|embolus
6574001|Necrosis|necrosis
44132006|Abscess|abscess
41699000|Effusion|effusion
85659009|aneurysm|aneurysm
"""
